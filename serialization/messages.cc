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

Offset<fbs::Value> WriteValue(Builder& builder, const TypedValue& value) {
  const auto type = Text(builder, value.type);
  return fbs::CreateValue(builder, type, Bytes(builder, value.bytes));
}

TypedValue ReadValue(const fbs::Value& value) {
  return {.type = std::string(View(value.type())), .bytes = std::string(View(value.bytes()))};
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
  fbs::FinishPreparationDataBuffer(
      builder,
      fbs::CreatePreparationData(builder, name, static_cast<fbs::StartMethod>(data.start_method), executable, argv, cwd,
                                 written_environment, data.log_level, plugin_path, preload, auth_key));
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
  const auto policy = Bytes(builder, data.policy);
  const auto written_handles = builder.CreateVector(handles);
  fbs::FinishProcessDataBuffer(
      builder, fbs::CreateProcessData(builder, target, written_arguments, policy, written_handles, data.setup_handle,
                                      data.result_handle, data.max_result_bytes, data.daemon));
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
  return data;
}

absl::StatusOr<ProcessData> DecodeProcessData(std::string_view bytes) {
  BROOD_ASSIGN_OR_RETURN(const auto* const from,
                         Verified<fbs::ProcessData>(bytes, fbs::ProcessDataIdentifier(), "process data"));
  ProcessData data;
  data.target = View(from->target());
  if (from->arguments() != nullptr) {
    for (const fbs::Value* argument : *from->arguments()) data.arguments.push_back(ReadValue(*argument));
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
  if (from->value() != nullptr) result.value = ReadValue(*from->value());
  if (from->error() != nullptr) result.error = ReadError(*from->error());
  if (result.value.has_value() && result.error.has_value()) return absl::DataLossError("result: both value and error");
  return result;
}

}  // namespace brood
