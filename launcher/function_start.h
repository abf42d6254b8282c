// One start of a function: what a Process that was made with Context::Create carries out.
#ifndef BROOD_LAUNCHER_FUNCTION_START_H_
#define BROOD_LAUNCHER_FUNCTION_START_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "forkserver/server_report.h"
#include "launcher/context_options.h"
#include "launcher/launch_options.h"
#include "launcher/process.h"
#include "serialization/messages.h"
#include "serialization/value.h"

namespace brood::internal {

// What becomes of a child that could not be set up.
enum class SetupFailures {
  kStatus,   // An error of the start.
  kOutcome,  // A Process, whose outcome is SetupFailed.
};

struct FunctionStart {
  StartMethod method = StartMethod::kSpawn;
  ContextOptions context;
  std::string target;
  std::vector<TypedValue> arguments;  // Gone once a start has succeeded.
  uint32_t number = 0;                // Of the process, among its parent's.
  SetupFailures setup_failures = SetupFailures::kStatus;

  // `options` with the final name and daemon flag. Errors: those of Context::Start.
  absl::StatusOr<Process> operator()(const LaunchOptions& options);
};

// As Context::Launch, of a forkserver.
absl::StatusOr<Process> LaunchByForkServer(const ContextOptions& context, const LaunchOptions& options);

// As Context::StartServer, of a forkserver.
absl::Status StartServerOf(const ContextOptions& context);

// As Context::ReportServer, likewise.
absl::StatusOr<ServerReport> ServerReportOf(const ContextOptions& context);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_FUNCTION_START_H_
