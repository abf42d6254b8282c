// brood serve: a server that starts children for many clients.
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/function_job.h"
#include "batch/policy_json.h"
#include "batch/policy_options.h"
#include "bootstrap/plugin.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/shared_options.h"
#include "cli/signals.h"
#include "sandbox/policy.h"
#include "serve/server.h"
#include "serve/status.h"
#include "tools/version/version.h"

namespace brood {
namespace {

absl::StatusOr<std::vector<uid_t>> ReadUsers(const ParsedOptions& options) {
  std::vector<uid_t> users;
  for (const std::string& value : options.Values("--allow-uid")) {
    uid_t uid = 0;
    if (!absl::SimpleAtoi(value, &uid) || uid == static_cast<uid_t>(-1)) {
      return absl::InvalidArgumentError(absl::StrCat("--allow-uid: expected the number of a user, got \"", value, "\""));
    }
    users.push_back(uid);
  }
  return users;
}

absl::StatusOr<Freeze> ReadFreeze(const ParsedOptions& options) {
  const std::string value = options.Value("--freeze", "off");
  if (value == "off") return Freeze::kOff;
  if (value == "auto") return Freeze::kAuto;
  if (value == "on") return Freeze::kOn;
  return absl::InvalidArgumentError(absl::StrCat("--freeze: expected off, auto or on, got \"", value, "\""));
}

absl::Status ReadRotation(const ParsedOptions& options, ServeRotation& rotation) {
  if (options.Has("--rotate-children")) {
    const std::string value = options.Value("--rotate-children");
    if (!absl::SimpleAtoi(value, &rotation.children) || rotation.children == 0) {
      return absl::InvalidArgumentError(absl::StrCat("--rotate-children: expected a number from 1 on, got \"", value, "\""));
    }
  }
  if (!options.Has("--rotate-after")) return absl::OkStatus();
  const absl::StatusOr<absl::Duration> after = ParseTime(options.Value("--rotate-after"));
  if (!after.ok()) return Annotate(after.status(), "--rotate-after");
  rotation.age = *after;
  return absl::OkStatus();
}

// Those of one path are of one template.
absl::StatusOr<std::vector<ServeTemplate>> ReadTemplates(const ParsedOptions& options) {
  std::vector<ServeTemplate> templates;
  for (const std::string& value : options.Values("--template")) {
    const size_t equals = value.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == value.size()) {
      return absl::InvalidArgumentError(absl::StrCat("--template: expected PATH=LIB or PATH=LIB:NAME, got \"", value, "\""));
    }
    absl::StatusOr<std::string> target = ResolveTarget(value.substr(equals + 1));
    if (!target.ok()) return Annotate(target.status(), "--template");
    const std::string path = value.substr(0, equals);
    if (templates.empty() || templates.back().path != path) templates.push_back({.path = path, .preload = {}});
    templates.back().preload.push_back(*std::move(target));
  }
  return templates;
}

absl::Status ReadQuota(const ParsedOptions& options, ServeQuota& quota) {
  const struct {
    std::string_view name;
    std::optional<uint64_t>* to;
    bool bytes;
  } fields[] = {{"--max-children", &quota.children, false},
                {"--max-children-per-client", &quota.children_per_client, false},
                {"--max-children-per-user", &quota.children_per_user, false},
                {"--max-memory-per-client", &quota.memory_per_client, true}};
  for (const auto& field : fields) {
    if (!options.Has(field.name)) continue;
    const std::string value = options.Value(field.name);
    if (field.bytes) {
      const absl::StatusOr<uint64_t> size = ParseSize(value);
      if (!size.ok()) return Annotate(size.status(), field.name);
      if (*size == 0) return absl::InvalidArgumentError(absl::StrCat(field.name, ": must be more than zero: nobody could start anything"));
      *field.to = *size;
    } else if (uint64_t count = 0; absl::SimpleAtoi(value, &count) && count > 0) {
      *field.to = count;
    } else {
      return absl::InvalidArgumentError(absl::StrCat(field.name, ": expected a number from 1 on, got \"", value, "\""));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ServeOptions> ReadServeOptions(const ParsedOptions& options) {
  ServeOptions serve;
  serve.socket = options.Value("--socket");
  if (serve.socket.empty()) return absl::InvalidArgumentError("--socket PATH is missing");
  if (!options.operands().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("unexpected word \"", options.operands()[0], "\""));
  }
  BROOD_ASSIGN_OR_RETURN(JobDefaults defaults, ReadSharedOptions(options));
  BROOD_ASSIGN_OR_RETURN(serve.other_users, ReadUsers(options));
  BROOD_ASSIGN_OR_RETURN(serve.freeze, ReadFreeze(options));
  BROOD_RETURN_IF_ERROR(ReadQuota(options, serve.quota));
  BROOD_RETURN_IF_ERROR(ReadRotation(options, serve.rotation));
  serve.warn = [](std::string_view what) { PrintError("serve", what); };
  BROOD_ASSIGN_OR_RETURN(serve.templates, ReadTemplates(options));
  serve.version = VersionString();
  serve.preload = defaults.preload;
  BROOD_ASSIGN_OR_RETURN(serve.policy, LoadPolicy(defaults.policy));
  BROOD_RETURN_IF_ERROR(ApplyPolicyOptions(defaults.options, serve.policy));
  // Whose code the children have, they may read.
  for (const std::string& target : serve.preload) ShowPlugin(target, serve.policy);
  for (const ServeTemplate& one : serve.templates) {
    for (const std::string& target : one.preload) ShowPlugin(target, serve.policy);
  }
  return serve;
}

absl::Status Serve(ServeOptions options) {
  const std::string socket = options.socket;
  // A preload takes its time: until there is something to end in order, a signal ends us as any program, and what preloads with us.
  std::optional<SignalSource> signals;
  options.before_listening = [&signals]() -> absl::Status {
    BROOD_ASSIGN_OR_RETURN(signals, SignalSource::Create());
    return absl::OkStatus();
  };
  BROOD_ASSIGN_OR_RETURN(const std::unique_ptr<ServeServer> server, ServeServer::Create(std::move(options)));
  if (!PrintOut(absl::StrCat("listening on ", socket, "\n"))) return absl::UnavailableError("standard output is closed");
  return server->Run(signals->fd());
}

absl::StatusOr<ServeStatus> AskStatus(const ParsedOptions& options) {
  std::optional<uint32_t> server_uid;
  if (options.Has("--server-uid")) {
    uint32_t uid = 0;
    if (!absl::SimpleAtoi(options.Value("--server-uid"), &uid)) {
      return absl::InvalidArgumentError("--server-uid: expected the number of a user");
    }
    server_uid = uid;
  }
  return StatusOfServer(options.Value("--status"), server_uid);
}

int PrintStatus(const ParsedOptions& options) {
  for (const std::string_view name : {"--socket", "--policy", "--preload", "--template", "--rotate-children", "--rotate-after"}) {
    if (options.Has(name)) return ReportUsage("serve", absl::InvalidArgumentError(absl::StrCat("--status asks a server that runs; it takes no ", name)), kExitUsage);
  }
  if (options.Has("--json") && options.Has("--prometheus")) {
    return ReportUsage("serve", absl::InvalidArgumentError("--json and --prometheus are two forms; choose one"), kExitUsage);
  }
  const absl::StatusOr<ServeStatus> status = AskStatus(options);
  if (!status.ok()) {
    PrintError("serve", status.status().message());
    return absl::IsInvalidArgument(status.status()) ? kExitUsage : kExitNegative;
  }
  const std::string text = options.Has("--json")         ? StatusJson(*status)
                           : options.Has("--prometheus") ? StatusPrometheus(*status)
                                                         : StatusText(*status);
  return PrintOut(text) ? kExitOk : kExitBroodFailed;
}

}  // namespace

int ServeMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("serve", args);
  if (!options.ok()) return ReportUsage("serve", options.status(), kExitUsage);
  if (options->Has("--status")) return PrintStatus(*options);
  for (const std::string_view name : {"--json", "--prometheus", "--server-uid"}) {
    if (options->Has(name)) return ReportUsage("serve", absl::InvalidArgumentError(absl::StrCat(name, " goes with --status")), kExitUsage);
  }
  absl::StatusOr<ServeOptions> serve = ReadServeOptions(*options);
  if (!serve.ok()) return ReportUsage("serve", serve.status(), kExitUsage);
  std::signal(SIGPIPE, SIG_IGN);
  const absl::Status served = Serve(*std::move(serve));
  if (served.ok()) return kExitOk;
  PrintError("serve", served.message());
  return kExitBroodFailed;
}

}  // namespace brood
