#include "launcher/context.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "bootstrap/current_process.h"
#include "launcher/children.h"
#include "launcher/function_start.h"
#include "launcher/process_state.h"
#include "serialization/framing.h"

namespace brood {
namespace {

// As multiprocessing names its processes: "SpawnProcess-2:1" is the first child of the main process's second.
std::string DefaultName(StartMethod method, uint32_t number) {
  std::string name = method == StartMethod::kSpawn ? "Spawn" : method == StartMethod::kFork ? "Fork" : "ForkServer";
  name += "Process-";
  for (const uint32_t ancestor : CurrentProcess().numbers) absl::StrAppend(&name, ancestor, ":");
  return absl::StrCat(name, number);
}

}  // namespace

Context::Context(StartMethod method, ContextOptions options) : method_(method), options_(std::move(options)) {
  options_.max_argument_bytes = std::min(options_.max_argument_bytes, kMaxMessageBytes);
  options_.max_result_bytes = std::min(options_.max_result_bytes, kMaxMessageBytes);
}

Process Context::Make(LaunchOptions options, internal::FunctionStart start) const {
  start.method = method_;
  start.context = options_;
  if (options.server.empty()) {
    options.server = options_.server;
    options.server_uid = options_.server_uid;
    options.server_template = options_.server_template;
  }
  start.number = internal::NextChildNumber();
  if (options.name.empty()) options.name = DefaultName(method_, start.number);
  if (!options.daemon.has_value()) options.daemon = CurrentProcess().daemon;
  internal::Unstarted unstarted;
  unstarted.options = std::move(options);
  unstarted.launch = std::move(start);
  return Process(std::move(unstarted));
}

Process Context::CreateByName(LaunchOptions options, std::string_view target, std::vector<TypedValue> arguments) const {
  return Make(std::move(options), {.target = std::string(target), .arguments = std::move(arguments)});
}

absl::StatusOr<Process> Context::Launch(const LaunchOptions& options) const {
  if (method_ != StartMethod::kForkServer || !options.server.empty()) return Process::Launch(options);
  return internal::LaunchByForkServer(options_, options);
}

absl::StatusOr<Process> Context::LaunchByName(const LaunchOptions& options, std::string_view target,
                                              std::vector<TypedValue> arguments) const {
  Process process = Make(options, {.target = std::string(target),
                                   .arguments = std::move(arguments),
                                   .setup_failures = internal::SetupFailures::kOutcome});
  BROOD_RETURN_IF_ERROR(process.Start());
  return process;
}

absl::StatusOr<Process> Context::StartByName(const LaunchOptions& options, std::string_view target,
                                             std::vector<TypedValue> arguments) const {
  Process process = CreateByName(options, target, std::move(arguments));
  BROOD_RETURN_IF_ERROR(process.Start());
  return process;
}

absl::StatusOr<CallResult> Context::CallByName(const LaunchOptions& options, std::string_view target,
                                               std::vector<TypedValue> arguments) const {
  absl::StatusOr<Process> process = internal::RetryLost(options_, [&] {
    return StartByName(options, target, options_.retry_lost > 0 ? arguments : std::move(arguments));
  });
  if (!process.ok()) return process.status();
  CallResult result;
  BROOD_ASSIGN_OR_RETURN(result.outcome, process->Join());
  absl::StatusOr<std::optional<TypedValue>> value = process->ResultValue();
  if (value.ok()) {
    result.value = *std::move(value);
  } else if (value.status().code() != absl::StatusCode::kAborted) {
    return value.status();
  }
  return result;
}

absl::Status Context::StartServer() const {
  if (method_ != StartMethod::kForkServer) return absl::OkStatus();
  return internal::StartServerOf(options_);
}

absl::StatusOr<ServerReport> Context::ReportServer() const {
  if (method_ != StartMethod::kForkServer) {
    return absl::FailedPreconditionError(absl::StrCat(StartMethodName(method_), " has no server to report of"));
  }
  return internal::ServerReportOf(options_);
}

}  // namespace brood
