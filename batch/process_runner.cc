#include "batch/process_runner.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "batch/files.h"
#include "batch/function_job.h"
#include "batch/policy_json.h"
#include "launcher/process.h"
#include "launcher/programs.h"
#include "launcher/retry_lost.h"
#include "launcher/server_policy.h"
#include "sandbox/policy_flatbuffer.h"

namespace brood {
namespace {

// As JSON it may be larger than what the child has left, whose bound is that of a captured stream. A journal's reader takes
// no longer lines than 64 MiB.
constexpr size_t kMaxValueBytes = size_t{16} << 20;

JobStream StreamOf(const std::string& path, const StreamResult& result, const UniqueFd& captured, size_t capture_bytes) {
  JobStream stream{.path = path, .content = {}, .bytes = result.bytes, .truncated = result.truncated, .error_number = result.error_number};
  if (!path.empty()) {
    const absl::StatusOr<FileFacts> facts = FactsAt(path);
    if (facts.ok() && facts->regular) stream.bytes = std::max(stream.bytes, facts->bytes);
    return stream;
  }
  if (!captured.valid()) return stream;
  // The guardian wrote through the same file description, so that its offset is at the end.
  if (!ToBeginning(captured.get(), "captured output").ok()) return stream;
  absl::StatusOr<std::string> content = ReadAll(captured.get(), "captured output", capture_bytes);
  if (content.ok()) {
    stream.content = *std::move(content);
  } else {
    stream.truncated = true;
  }
  return stream;
}

class RunningProcess : public RunningJob {
 public:
  RunningProcess(Process process, const Job& job, std::string stdout_path, std::string stderr_path, size_t capture_bytes)
      : process_(std::move(process)),
        is_function_(!job.target.empty()),
        stdout_path_(std::move(stdout_path)),
        stderr_path_(std::move(stderr_path)),
        capture_bytes_(capture_bytes) {}

  int sentinel() const override { return process_.sentinel(); }

  JobEnd Finish() override {
    JobEnd end;
    absl::StatusOr<Outcome> outcome = process_.Join();
    end.lost_with_server = internal::IsLost(outcome);
    if (!outcome.ok()) {
      end.outcome.ending = Lost{.reason = std::string(outcome.status().message())};
      return end;
    }
    end.outcome = *std::move(outcome);
    end.stdout_stream = StreamOf(stdout_path_, end.outcome.stdout_result, process_.TakeStdout(), capture_bytes_);
    end.stderr_stream = StreamOf(stderr_path_, end.outcome.stderr_result, process_.TakeStderr(), capture_bytes_);
    if (!is_function_) return end;
    absl::StatusOr<std::optional<std::string>> value = ReturnedJson(process_);
    if (value.ok() && (!value->has_value() || (*value)->size() <= kMaxValueBytes)) {
      end.value = *std::move(value);
    } else if (value.ok()) {
      end.outcome.ending = Lost{.reason = absl::StrCat("its value takes ", (*value)->size(), " bytes as JSON, ", kMaxValueBytes,
                                                       " are kept")};
    } else {
      end.outcome.ending = Lost{.reason = absl::StrCat("its value: ", value.status().message())};
    }
    return end;
  }

 private:
  Process process_;
  bool is_function_;
  std::string stdout_path_;
  std::string stderr_path_;
  size_t capture_bytes_;
};

// The programs of one job.
class RunningPrograms : public RunningJob {
 public:
  struct Paths {
    std::string out;
    std::string err;
  };

  RunningPrograms(Programs programs, std::vector<Paths> paths) : programs_(std::move(programs)), paths_(std::move(paths)) {}

  int sentinel() const override { return programs_.sentinel(); }
  bool Advance() override { return programs_.Advance(); }

  JobEnd Finish() override {
    JobEnd end;
    absl::StatusOr<std::vector<ProgramEnded>> all = programs_.Join();
    if (!all.ok()) {
      end.outcome.ending = Lost{.reason = std::string(all.status().message())};
      return end;
    }
    std::optional<size_t> first_bad, stopped;
    for (size_t i = 0; i < all->size(); ++i) {
      ProgramEnded& ended = (*all)[i];
      JobEnd program;
      program.outcome = std::move(ended.outcome);
      program.ended_with = ended.ended_with;
      // What a pipe took was kept up to the bound that the job says.
      program.stdout_stream = StreamOf(paths_[i].out, program.outcome.stdout_result, ended.stdout_file, SIZE_MAX);
      program.stderr_stream = StreamOf(paths_[i].err, program.outcome.stderr_result, ended.stderr_file, SIZE_MAX);
      if (!program.outcome.ok() && !first_bad.has_value()) first_bad = i;
      if (ended.ended_with.has_value()) stopped = ended.ended_with;
      end.programs.push_back(std::move(program));
    }
    // One that ended well may have ended the others all the same ("stop": "end"): then they are as was asked for.
    end.decided_by = stopped.value_or(first_bad.value_or(0));
    end.outcome = end.programs[end.decided_by].outcome;
    return end;
  }

 private:
  Programs programs_;
  std::vector<Paths> paths_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessRunner>> ProcessRunner::Create(const JobDefaults& defaults) {
  std::unique_ptr<ProcessRunner> runner(new ProcessRunner(defaults));
  if (!defaults.output_dir.empty()) {
    BROOD_ASSIGN_OR_RETURN(runner->output_dir_, OpenOrMakeDirectory(defaults.output_dir));
  }
  if (defaults.server.empty()) {
    runner->Distrust(Job{});
    BROOD_RETURN_IF_ERROR(runner->PolicyOf(Job{}).status());
    return runner;
  }
  if (defaults.policy.empty()) {
    BROOD_ASSIGN_OR_RETURN(Policy own, PolicyOfServer(defaults.server, defaults.server_uid));
    runner->policies_.emplace("", std::move(own));
  }
  runner->Distrust(Job{});
  BROOD_RETURN_IF_ERROR(runner->CheckPolicyOf(Job{}));
  return runner;
}

const absl::StatusOr<Policy>& ProcessRunner::NamedPolicy(const std::string& job_policy) {
  const std::string& name = job_policy.empty() ? defaults_.policy : job_policy;
  auto loaded = policies_.find(name);
  if (loaded == policies_.end()) loaded = policies_.emplace(name, LoadPolicy(name)).first;
  return loaded->second;
}

void ProcessRunner::Distrust(const std::vector<FileRule>& rules) {
  for (const FileRule& rule : rules) {
    const bool written = rule.kind == FileRule::Kind::kBind && rule.access == FileRule::Access::kReadWrite;
    const std::string& place = written ? rule.source : rule.changes;
    // Who may write to all of the machine has no need of a link.
    if (place.empty() || place == "/") continue;
    // Who was launched before looks at those that there were then.
    if (untrusted_.use_count() > 1) untrusted_ = std::make_shared<UntrustedDirectories>(*untrusted_);
    // What was made ready before may have been behind such a link.
    if (untrusted_->Add(place)) compiled_.clear();
  }
}

void ProcessRunner::Distrust(const Job& job) {
  for (const Job& program : job.programs) Distrust(program);
  Distrust(job.options.files);
  if (!distrusted_policies_.insert(job.policy).second) return;
  Distrust(defaults_.options.files);
  if (const absl::StatusOr<Policy>& policy = NamedPolicy(job.policy); policy.ok()) Distrust(policy->files);
}

absl::StatusOr<Policy> ProcessRunner::FindPolicy(const Job& job) {
  BROOD_ASSIGN_OR_RETURN(Policy policy, NamedPolicy(job.policy));
  BROOD_RETURN_IF_ERROR(ApplyPolicyOptions(defaults_.options, policy));
  BROOD_RETURN_IF_ERROR(ApplyPolicyOptions(job.options, policy));
  BROOD_ASSIGN_OR_RETURN(const std::string target, ResolveTarget(job.target));
  ShowPlugin(target, policy);
  return policy;
}

absl::Status ProcessRunner::SetPolicyOf(const Job& job, LaunchOptions& options) {
  if (defaults_.server.empty()) {
    BROOD_ASSIGN_OR_RETURN(options.policy, PolicyOf(job));
    return absl::OkStatus();
  }
  options.server = defaults_.server;
  options.server_uid = defaults_.server_uid;
  if (!job.target.empty()) options.server_template = defaults_.server_template;
  BROOD_ASSIGN_OR_RETURN(options.server_policy, FindPolicy(job));
  return absl::OkStatus();
}

absl::Status ProcessRunner::CheckPolicyOf(const Job& job) {
  for (size_t i = 0; i < job.programs.size(); ++i) {
    BROOD_RETURN_IF_ERROR(Annotate(FindPolicy(job.programs[i]).status(), absl::StrCat("program ", i)));
  }
  return FindPolicy(job).status();
}

absl::StatusOr<std::shared_ptr<const CompiledPolicy>> ProcessRunner::PolicyOf(const Job& job) {
  BROOD_ASSIGN_OR_RETURN(const Policy policy, FindPolicy(job));
  const std::string key = EncodePolicy(policy);
  auto compiled = compiled_.find(key);
  if (compiled == compiled_.end()) compiled = compiled_.emplace(key, CompilePolicy(policy, *untrusted_)).first;
  return compiled->second;
}

absl::StatusOr<Stdio> ProcessRunner::OutputStream(const std::string& own_path, const std::string& directory,
                                                  int directory_fd, const char* name, UniqueFd& opened,
                                                  std::string& path) const {
  if (!own_path.empty()) {
    path = own_path;
    return Stdio::Path(own_path);
  }
  if (directory_fd < 0) return Stdio::Capture(defaults_.capture_bytes);
  path = absl::StrCat(defaults_.output_dir, "/", directory, "/", name);
  absl::StatusOr<UniqueFd> file = OpenOutputFile(directory_fd, name);
  if (!file.ok()) return Annotate(file.status(), path);
  opened = *std::move(file);
  return Stdio::Fd(opened.get());
}

absl::StatusOr<Process> ProcessRunner::Launch(const Job& job, LaunchOptions options) const {
  // One after the other without a pause, nothing can be made ahead: one that is made for the job by itself is a process less.
  if (job.target.empty() && (options.isolation == Isolation::kFresh || options.terminal.has_value())) return Process::Launch(options);
  if (job.target.empty()) return programs_.Launch(options);
  BROOD_ASSIGN_OR_RETURN(const std::string target, ResolveTarget(job.target));
  absl::StatusOr<Process> process = context_.LaunchByName(options, target, JsonArguments(job.args));
  // No other attempt would find it.
  if (absl::IsNotFound(process.status())) return absl::InvalidArgumentError(process.status().message());
  return process;
}

absl::Status ProcessRunner::Prepare(const Job& job, const std::string& name, const bool (&piped)[3], Prepared& to) {
  LaunchOptions& options = to.options;
  // Whatever its code: the same job will have the same policy the next time.
  if (const absl::Status policy = SetPolicyOf(job, options); !policy.ok()) return absl::InvalidArgumentError(policy.message());
  options.argv = job.argv;
  options.env = defaults_.env;
  options.env.insert(options.env.end(), job.env.begin(), job.env.end());
  options.cwd = job.cwd.empty() ? defaults_.cwd : job.cwd;
  options.stdin_spec = job.stdin_path.empty() ? Stdio::Null() : Stdio::Path(job.stdin_path);
  options.tree_end = defaults_.tree_end;
  options.violation_stack = defaults_.violation_stack;
  options.untrusted = untrusted_;
  options.copy_in = job.copy_in;
  options.copy_out = job.copy_out;
  options.isolation = defaults_.isolation;
  options.terminal = job.terminal;
  options.name = name;

  const std::string directory_name = FileNameOf(name);
  if (output_dir_.valid()) {
    BROOD_ASSIGN_OR_RETURN(to.directory, OpenOrMakeSubdirectory(output_dir_.get(), directory_name));
  }
  if (!piped[1]) {
    BROOD_ASSIGN_OR_RETURN(options.stdout_spec, OutputStream(job.stdout_path, directory_name, to.directory.get(), "stdout",
                                                             to.stdout_fd, to.stdout_path));
  }
  if (job.terminal.has_value()) {
    options.stderr_spec = Stdio::Merge();
  } else if (!piped[2]) {
    BROOD_ASSIGN_OR_RETURN(options.stderr_spec, OutputStream(job.stderr_path, directory_name, to.directory.get(), "stderr",
                                                             to.stderr_fd, to.stderr_path));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<RunningJob>> ProcessRunner::StartPrograms(const Job& job) {
  std::vector<Prepared> prepared(job.programs.size());
  std::vector<LaunchOptions> programs;
  std::vector<RunningPrograms::Paths> paths;
  for (size_t i = 0; i < job.programs.size(); ++i) {
    bool piped[3] = {};
    for (const ProgramPipe& pipe : job.pipes) {
      for (const ProgramDescriptor& end : {pipe.from, pipe.to}) {
        if (end.program == i && end.fd <= 2) piped[end.fd] = true;
      }
    }
    BROOD_RETURN_IF_ERROR(Annotate(Prepare(job.programs[i], absl::StrCat(job.id, ".", i), piped, prepared[i]), absl::StrCat("program ", i)));
    programs.push_back(prepared[i].options);
    paths.push_back({prepared[i].stdout_path, prepared[i].stderr_path});
  }
  BROOD_ASSIGN_OR_RETURN(Programs running, Programs::Launch(std::move(programs), job.pipes, job.stop));
  return std::make_unique<RunningPrograms>(std::move(running), std::move(paths));
}

absl::StatusOr<std::unique_ptr<RunningJob>> ProcessRunner::Start(const Job& job) {
  if (!job.programs.empty()) return StartPrograms(job);
  Prepared prepared;
  BROOD_RETURN_IF_ERROR(Prepare(job, job.id, {}, prepared));
  BROOD_ASSIGN_OR_RETURN(Process process, Launch(job, std::move(prepared.options)));
  return std::make_unique<RunningProcess>(std::move(process), job, std::move(prepared.stdout_path), std::move(prepared.stderr_path),
                                          defaults_.capture_bytes);
}

void ProcessRunner::Preload() const {
  if (defaults_.server.empty() && !defaults_.preload.empty()) (void)context_.StartServer();
}

bool ProcessRunner::AwaitServer(const std::function<bool(absl::Duration)>& pause) {
  ContextOptions served = programs_.options();
  served.server = defaults_.server;
  served.server_uid = defaults_.server_uid;
  if (!defaults_.server.empty() || context_.method() != StartMethod::kForkServer) return internal::AwaitServer(served, pause);
  return internal::AwaitServer(served, pause) && internal::AwaitServer(context_.options(), pause);
}

}  // namespace brood
