// brood listen: a program for each connection, each in a sandbox of its own.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/job.h"
#include "batch/policy_options.h"
#include "batch/process_runner.h"
#include "batch/result_json.h"
#include "cli/commands.h"
#include "cli/listen_server.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/shared_options.h"
#include "cli/signals.h"

namespace brood {
namespace {

constexpr absl::Duration kDefaultWallTime = absl::Seconds(60);

absl::StatusOr<Address> ReadAddress(const ParsedOptions& options) {
  if (options.Has("--port") == options.Has("--socket")) {
    return absl::InvalidArgumentError("expected either --port N, where to listen on 127.0.0.1 or what --bind says, or --socket PATH");
  }
  if (options.Has("--socket")) {
    if (options.Has("--bind")) return absl::InvalidArgumentError("--bind: goes with --port");
    if (options.Value("--socket").empty()) return absl::InvalidArgumentError("--socket: expected a path");
    return Address::UnixPath(options.Value("--socket"));
  }
  uint32_t port = 0;
  if (!absl::SimpleAtoi(options.Value("--port"), &port) || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("--port: expected 1 to 65535, or 0 for one that is free, got \"", options.Value("--port"), "\""));
  }
  return Address::Tcp(options.Value("--bind", "127.0.0.1"), static_cast<uint16_t>(port));
}

absl::Status ReadCount(const ParsedOptions& options, std::string_view name, size_t& to) {
  if (!options.Has(name)) return absl::OkStatus();
  if (absl::SimpleAtoi(options.Value(name), &to) && to > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": expected a number from 1 on, got \"", options.Value(name), "\""));
}

absl::Status ReadStderr(const ParsedOptions& options, LaunchOptions& program) {
  const std::string value = options.Value("--stderr", "client");
  if (value == "client") program.stderr_spec = Stdio::Merge();
  else if (value == "here") program.stderr_spec = Stdio::Inherit();
  else if (value == "null") program.stderr_spec = Stdio::Null();
  else return absl::InvalidArgumentError(absl::StrCat("--stderr: expected client, here or null, got \"", value, "\""));
  return absl::OkStatus();
}

// The policy, made ready once for all; with a limit of wall time, since a client can keep a program waiting for ever.
absl::Status SetPolicy(JobDefaults defaults, LaunchOptions& program) {
  BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ProcessRunner> runner, ProcessRunner::Create(defaults));
  BROOD_ASSIGN_OR_RETURN(program.policy, runner->PolicyOf(Job{}));
  if (program.policy->limits().wall_time.has_value()) return absl::OkStatus();
  defaults.options.limits.wall_time = kDefaultWallTime;
  BROOD_ASSIGN_OR_RETURN(runner, ProcessRunner::Create(defaults));
  BROOD_ASSIGN_OR_RETURN(program.policy, runner->PolicyOf(Job{}));
  return absl::OkStatus();
}

absl::StatusOr<ListenSettings> ReadSettings(const ParsedOptions& options) {
  if (options.operands().empty() || options.operands()[0].empty()) return absl::InvalidArgumentError("PROGRAM is missing");
  ListenSettings settings;
  BROOD_ASSIGN_OR_RETURN(settings.address, ReadAddress(options));
  BROOD_RETURN_IF_ERROR(ReadCount(options, "--max-connections", settings.max_connections));
  BROOD_RETURN_IF_ERROR(ReadCount(options, "--max-per-address", settings.max_per_address));
  if (options.Has("--after-end")) {
    const absl::StatusOr<absl::Duration> time = ParseTime(options.Value("--after-end"));
    if (!time.ok()) return Annotate(time.status(), "--after-end");
    settings.after_end = *time;
  }
  BROOD_RETURN_IF_ERROR(ReadStderr(options, settings.program));
  BROOD_ASSIGN_OR_RETURN(const JobDefaults defaults, ReadSharedOptions(options));
  settings.program.argv = options.operands();
  settings.program.env = defaults.env;
  settings.program.cwd = defaults.cwd;
  settings.program.tree_end = defaults.tree_end;
  settings.program.violation_stack = defaults.violation_stack;
  return settings;
}

std::string_view Word(ClosedBy by) {
  switch (by) {
    case ClosedBy::kProgram: return "program";
    case ClosedBy::kClient: return "client";
    case ClosedBy::kServer: return "server";
    case ClosedBy::kRefused: return "refused";
  }
  return "?";
}

// A result (docs/results.md) whose id is the number of the connection, and what else there is to say of that.
std::string JsonLine(const ConnectionEnd& end) {
  JobEnd job;
  job.outcome = end.outcome;
  if (end.closed_by == ClosedBy::kRefused) {
    job.outcome.ending = SetupFailed{.step = "connection", .detail = end.why};
    job.outcome.start = absl::Now();
  }
  job.stdout_stream.bytes = end.outcome.stdout_result.bytes;
  job.stdout_stream.truncated = end.outcome.stdout_result.truncated;
  job.stdout_stream.path = end.peer;
  std::string line = ResultLine(absl::StrCat(end.number), 1, job, ResultStreams::kIncluded);
  // Addresses and these words need no escapes.
  return line.insert(1, absl::StrCat("\"peer\":\"", end.peer, "\",\"closed_by\":\"", Word(end.closed_by), "\","));
}

std::string TextLine(const ConnectionEnd& end) {
  if (end.closed_by == ClosedBy::kRefused) return absl::StrCat(end.number, " ", end.peer, ": refused: ", Printable(end.why));
  return absl::StrCat(end.number, " ", end.peer, ": ", Printable(end.outcome.ToString()), ", ", absl::FormatDuration(absl::Trunc(end.outcome.usage.wall_time, absl::Milliseconds(1))),
                      ", ", end.outcome.stdout_result.bytes, " bytes", end.closed_by == ClosedBy::kProgram ? "" : absl::StrCat(", closed by the ", Word(end.closed_by)));
}

// Where the lines go. One write each, so that others may append too.
class Log {
 public:
  static absl::StatusOr<Log> Open(const std::string& path) {
    Log log;
    log.path_ = path;
    if (path.empty() || path == "-") return log;
    log.file_.reset(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
    if (!log.file_.valid()) return ErrnoStatus(errno, "open", path);
    return log;
  }

  void Write(const ConnectionEnd& end) {
    if (path_.empty()) return PrintError("listen", TextLine(end));
    const std::string line = absl::StrCat(JsonLine(end), "\n");
    const int fd = path_ == "-" ? STDOUT_FILENO : file_.get();
    if (write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return;
    PrintError("listen", absl::StrCat(ErrnoStatus(errno, "write", path_).message(), "; connection ", end.number, " is not in it"));
  }

  bool is_stdout() const { return path_ == "-"; }

 private:
  std::string path_;  // Empty: text, on stderr.
  UniqueFd file_;
};

absl::Status Listen(const ParsedOptions& options, ListenSettings settings) {
  IgnoreBrokenPipes();
  BROOD_ASSIGN_OR_RETURN(Log log, Log::Open(options.Value("--results")));
  BROOD_ASSIGN_OR_RETURN(SignalSource signals, SignalSource::Create());
  BROOD_ASSIGN_OR_RETURN(const JobDefaults defaults, ReadSharedOptions(options));
  BROOD_RETURN_IF_ERROR(SetPolicy(defaults, settings.program));
  BROOD_ASSIGN_OR_RETURN(ListenServer server, ListenServer::Open(std::move(settings), [&log](const ConnectionEnd& end) { log.Write(end); },
                                                                 [](const std::string& text) { PrintError("listen", text); }));
  const std::string ready = absl::StrCat("listening on ", server.address().ToString());
  if (log.is_stdout()) {
    PrintError("listen", ready);
  } else if (!PrintOut(ready + "\n")) {
    return absl::UnavailableError("write to standard output failed");
  }
  return server.Run(signals);
}

}  // namespace

int ListenMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("listen", args);
  if (!options.ok()) return ReportUsage("listen", options.status(), kExitUsage);
  absl::StatusOr<ListenSettings> settings = ReadSettings(*options);
  if (!settings.ok()) return ReportUsage("listen", settings.status(), kExitUsage);
  const absl::Status served = Listen(*options, *std::move(settings));
  if (served.ok()) return kExitOk;
  PrintError("listen", served.message());
  return kExitBroodFailed;
}

}  // namespace brood
