#include "serialization/messages.h"

#include "absl/strings/cord.h"
#include "base/status.h"
#include "serialization/preparation_data_generated.h"
#include "serialization/process_data_generated.h"
#include "serialization/result_generated.h"
#include "serialization/verify.h"

namespace brood {
namespace {

using flatbuffers::Offset;
using Builder = flatbuffers::FlatBufferBuilder;
using Strings = flatbuffers::Vector<Offset<flatbuffers::String>>;

Offset<flatbuffers::String> Text(Builder& builder, std::string_view text) {
  return builder.CreateString(text.data(), text.size());
}

Offset<flatbuffers::Vector<uint8_t>> Bytes(Builder& builder, std::string_view bytes) {
  return builder.CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

std::shared_ptr<const UniqueFd> NoHandle() {
  static const auto* const none = new std::shared_ptr<const UniqueFd>(std::make_shared<const UniqueFd>());
  return *none;
}

Offset<fbs::Value> WriteValue(Builder& builder, const TypedValue& value) {
  const auto type = Text(builder, value.type);
  return fbs::CreateValue(builder, type, Bytes(builder, value.bytes), static_cast<uint32_t>(value.handles.size()));
}

// With placeholders for its handles, `max_handles` at most.
absl::StatusOr<TypedValue> ReadValue(const fbs::Value& value, size_t max_handles) {
  if (value.handle_count() > max_handles) {
    return absl::DataLossError(absl::StrCat("a value that announces ", value.handle_count(), " handles, of ", max_handles));
  }
  return TypedValue{.type = std::string(View(value.type())),
                    .bytes = std::string(View(value.bytes())),
                    .handles = WireHandles(value.handle_count(), NoHandle())};
}

std::vector<std::string> ReadStrings(const Strings* strings) {
  std::vector<std::string> result;
  if (strings == nullptr) return result;
  for (const flatbuffers::String* text : *strings) result.emplace_back(View(text));
  return result;
}

std::string Take(const Builder& builder) {
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

Offset<fbs::Error> WriteError(Builder& builder, const ResultError& error) {
  const Offset<fbs::Error> cause = error.cause != nullptr ? WriteError(builder, *error.cause) : Offset<fbs::Error>();
  std::vector<Offset<fbs::Payload>> payloads;
  error.status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    const auto type_url = Text(builder, url);
    payloads.push_back(fbs::CreatePayload(builder, type_url, Bytes(builder, std::string(payload))));
  });
  const auto type = Text(builder, error.type);
  const auto message = Text(builder, error.status.message());
  const auto written_payloads = builder.CreateVector(payloads);
  const auto stack = Text(builder, error.stack);
  return fbs::CreateError(builder, type, message, error.status.raw_code(), written_payloads, stack, cause);
}

ResultError ReadError(const fbs::Error& from) {
  ResultError error;
  error.type = View(from.type());
  // An error with the code OK would lose its message on the way.
  const int code = from.code() == 0 ? static_cast<int>(absl::StatusCode::kUnknown) : from.code();
  error.status = absl::Status(static_cast<absl::StatusCode>(code), View(from.message()));
  if (from.payloads() != nullptr) {
    for (const fbs::Payload* payload : *from.payloads()) {
      error.status.SetPayload(View(payload->type_url()), absl::Cord(View(payload->bytes())));
    }
  }
  error.stack = View(from.stack());
  if (from.cause() != nullptr) error.cause = std::make_shared<ResultError>(ReadError(*from.cause()));
  return error;
}

}  // namespace

std::string_view StartMethodName(StartMethod method) {
  switch (method) {
    case StartMethod::kSpawn:
      return "spawn";
    case StartMethod::kFork:
      return "fork";
    case StartMethod::kForkServer:
      return "forkserver";
  }
  return "unknown";
}

std::string EncodePreparationData(const PreparationData& data) {
  Builder builder;
  std::vector<Offset<fbs::EnvironmentChange>> environment;
  for (const auto& [name, value] : data.environment) {
    const auto written_name = Text(builder, name);
    const auto written_value = value.has_value() ? Text(builder, *value) : 0;
    environment.push_back(fbs::CreateEnvironmentChange(builder, written_name, written_value));
  }
  const auto name = Text(builder, data.name);
  const auto executable = Text(builder, data.executable);
  const auto argv = builder.CreateVectorOfStrings(data.argv);
  const auto cwd = Text(builder, data.cwd);
  const auto written_environment = builder.CreateVector(environment);
  const auto plugin_path = builder.CreateVectorOfStrings(data.plugin_path);
  const auto preload = builder.CreateVectorOfStrings(data.preload);
  const auto auth_key = Bytes(builder, data.auth_key);
  const auto parent_name = Text(builder, data.parent_name);
  const auto identity = builder.CreateVector(data.identity);
  fbs::FinishPreparationDataBuffer(
      builder,
      fbs::CreatePreparationData(builder, name, static_cast<fbs::StartMethod>(data.start_method), executable, argv, cwd,
                                 written_environment, data.log_level, plugin_path, preload, auth_key, parent_name,
                                 data.parent_pid, identity, static_cast<fbs::Freeze>(data.freeze)));
  return Take(builder);
}

std::string EncodeProcessData(const ProcessData& data) {
  Builder builder;
  std::vector<Offset<fbs::Value>> arguments;
  for (const TypedValue& argument : data.arguments) arguments.push_back(WriteValue(builder, argument));
  std::vector<Offset<fbs::Handle>> handles;
  for (const auto& [number, purpose] : data.handles) {
    handles.push_back(fbs::CreateHandle(builder, number, Text(builder, purpose)));
  }
  const auto target = Text(builder, data.target);
  const auto written_arguments = builder.CreateVector(arguments);
  const auto argument_handles = builder.CreateVector(data.argument_handles);
  const auto policy = Bytes(builder, data.policy);
  const auto written_handles = builder.CreateVector(handles);
  fbs::FinishProcessDataBuffer(
      builder, fbs::CreateProcessData(builder, target, written_arguments, argument_handles, policy, written_handles,
                                      data.setup_handle, data.result_handle, data.max_result_bytes, data.daemon));
  return Take(builder);
}

std::string EncodeResult(const Result& result) {
  Builder builder;
  const auto value = result.value.has_value() ? WriteValue(builder, *result.value) : Offset<fbs::Value>();
  const auto error = result.error.has_value() ? WriteError(builder, *result.error) : Offset<fbs::Error>();
  fbs::FinishResultBuffer(builder, fbs::CreateResult(builder, value, error));
  return Take(builder);
}

absl::StatusOr<PreparationData> DecodePreparationData(std::string_view bytes) {
  BROOD_ASSIGN_OR_RETURN(const auto* const from,
                         Verified<fbs::PreparationData>(bytes, fbs::PreparationDataIdentifier(), "preparation data"));
  PreparationData data;
  data.name = View(from->name());
  if (from->start_method() > fbs::StartMethod::MAX)
    return absl::DataLossError("preparation data: unknown start method");
  data.start_method = static_cast<StartMethod>(from->start_method());
  data.executable = View(from->executable());
  data.argv = ReadStrings(from->argv());
  data.cwd = View(from->cwd());
  if (from->environment() != nullptr) {
    for (const fbs::EnvironmentChange* change : *from->environment()) {
      std::optional<std::string> value;
      if (change->value() != nullptr) value = std::string(View(change->value()));
      data.environment.emplace_back(View(change->name()), std::move(value));
    }
  }
  data.log_level = from->log_level();
  data.plugin_path = ReadStrings(from->plugin_path());
  data.preload = ReadStrings(from->preload());
  data.auth_key = View(from->auth_key());
  data.parent_name = View(from->parent_name());
  data.parent_pid = from->parent_pid();
  if (from->identity() != nullptr) data.identity.assign(from->identity()->begin(), from->identity()->end());
  if (from->freeze() > fbs::Freeze::MAX) return absl::DataLossError("preparation data: unknown kind of freeze");
  data.freeze = static_cast<Freeze>(from->freeze());
  return data;
}

absl::StatusOr<ProcessData> DecodeProcessData(std::string_view bytes) {
  BROOD_ASSIGN_OR_RETURN(const auto* const from,
                         Verified<fbs::ProcessData>(bytes, fbs::ProcessDataIdentifier(), "process data"));
  ProcessData data;
  data.target = View(from->target());
  if (from->arguments() != nullptr) {
    const size_t max_handles = from->argument_handles() != nullptr ? from->argument_handles()->size() : 0;
    for (const fbs::Value* argument : *from->arguments()) {
      BROOD_ASSIGN_OR_RETURN(TypedValue value, ReadValue(*argument, max_handles));
      data.arguments.push_back(std::move(value));
    }
  }
  if (from->argument_handles() != nullptr) {
    data.argument_handles.assign(from->argument_handles()->begin(), from->argument_handles()->end());
  }
  data.policy = View(from->policy());
  if (from->handles() != nullptr) {
    for (const fbs::Handle* handle : *from->handles()) {
      data.handles.emplace_back(handle->number(), View(handle->purpose()));
    }
  }
  data.setup_handle = from->setup_handle();
  data.result_handle = from->result_handle();
  data.max_result_bytes = from->max_result_bytes();
  data.daemon = from->daemon();
  return data;
}

absl::StatusOr<Result> DecodeResult(std::string_view bytes) {
  BROOD_ASSIGN_OR_RETURN(const auto* const from, Verified<fbs::Result>(bytes, fbs::ResultIdentifier(), "result"));
  Result result;
  if (from->value() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(result.value, ReadValue(*from->value(), 0));
  }
  if (from->error() != nullptr) result.error = ReadError(*from->error());
  if (result.value.has_value() && result.error.has_value()) return absl::DataLossError("result: both value and error");
  return result;
}

WireHandles ReleaseArgumentHandles(std::vector<TypedValue>& arguments) {
  WireHandles released;
  for (TypedValue& argument : arguments) {
    for (std::shared_ptr<const UniqueFd>& handle : argument.handles) released.push_back(std::exchange(handle, NoHandle()));
  }
  return released;
}

absl::Status AdoptArgumentHandles(ProcessData& data) {
  WireHandles adopted;
  for (const int number : data.argument_handles) {
    // From now on it goes no further than this process, as every descriptor of ours.
    if (number < 3 || !KeepFromChildren(number)) {
      return absl::DataLossError(absl::StrCat("process data: handle ", number, " is not an open descriptor above 2"));
    }
    adopted.push_back(std::make_shared<const UniqueFd>(number));
  }
  auto next = adopted.begin();
  for (TypedValue& argument : data.arguments) {
    for (std::shared_ptr<const UniqueFd>& handle : argument.handles) {
      if (next == adopted.end()) return absl::DataLossError("process data: fewer handles than its arguments refer to");
      handle = *next++;
    }
  }
  if (next != adopted.end()) return absl::DataLossError("process data: more handles than its arguments refer to");
  return absl::OkStatus();
}

}  // namespace brood
