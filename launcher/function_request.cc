#include "launcher/function_request.h"

#include "absl/strings/str_cat.h"
#include "base/own_process.h"
#include "base/status.h"
#include "bootstrap/current_process.h"
#include "bootstrap/log.h"
#include "bootstrap/plugin.h"
#include "bootstrap/registry.h"

namespace brood::internal {

absl::Status CheckFunction(const FunctionStart& start, const LaunchOptions& options) {
  if (CurrentProcess().daemon) {
    return absl::FailedPreconditionError(
        absl::StrCat("start ", options.name, ": ", CurrentProcess().name, " is a daemon, which may not start functions"));
  }
  // A plugin is not for us to load: it may not be here, and its initialisers would run outside of the sandbox.
  if (options.server.empty() && (start.method == StartMethod::kFork || start.context.executable.empty()) &&
      !SplitPluginTarget(start.target).has_value()) {
    BROOD_RETURN_IF_ERROR(FindTarget(start.target).status());
  }
  uint64_t bytes = 0;
  for (const TypedValue& argument : start.arguments) bytes += argument.bytes.size() + argument.type.size();
  if (bytes <= start.context.max_argument_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("target ", start.target, ": its arguments take ", bytes, " bytes, ",
                                                 start.context.max_argument_bytes, " are allowed"));
}

PreparationData MakePreparation(const FunctionStart& start, const LaunchOptions& options, const AuthKey& key) {
  const ProcessIdentity& self = CurrentProcess();
  PreparationData preparation;
  preparation.name = options.name;
  preparation.start_method = start.method;
  preparation.executable = start.context.executable;
  preparation.cwd = options.cwd;
  preparation.log_level =
      start.context.log_level != 0 ? start.context.log_level : static_cast<int>(CurrentLogLevel());
  preparation.plugin_path = start.context.plugin_path;
  preparation.auth_key = key.secret_bytes();
  preparation.parent_name = self.name;
  preparation.parent_pid = OwnProcessNumber();
  preparation.identity = self.numbers;
  preparation.identity.push_back(start.number);
  return preparation;
}

}  // namespace brood::internal
