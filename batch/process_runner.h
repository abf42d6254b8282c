// Runs jobs, programs and functions, as processes of this machine, each in the sandbox of its policy.
//
//   BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ProcessRunner> runner, ProcessRunner::Create({.policy = "strict"}));
//   BROOD_ASSIGN_OR_RETURN(BatchSummary summary, RunJobs(jobs, {.parallel = 8}, *runner, listener));
#ifndef BROOD_BATCH_PROCESS_RUNNER_H_
#define BROOD_BATCH_PROCESS_RUNNER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "base/untrusted_directories.h"
#include "batch/job_runner.h"
#include "batch/policy_options.h"
#include "launcher/context.h"
#include "launcher/launch_options.h"
#include "sandbox/default_policy.h"
#include "serialization/messages.h"

namespace brood {

// What a job does not say itself.
struct JobDefaults {
  std::string policy{DefaultPolicyName()};  // Built-in or file.
  PolicyOptions options;
  std::vector<std::string> env;  // Under the job's own.
  std::string cwd;
  std::string output_dir;  // Not empty: streams go to OUTPUT_DIR/ID/stdout and stderr.
  TreeEnd tree_end = TreeEnd::kKill;
  bool violation_stack = false;
  // Of `brood run` and `brood call`: each job of a batch would have the same files.
  std::vector<CopyIn> copy_in;
  std::vector<CopyOut> copy_out;
  // Of each captured stream, what is kept for its result; the rest is counted. --output limits what may be written. A
  // function's value that is larger is an error of the function.
  uint64_t capture_bytes = uint64_t{1} << 20;
  // For functions: how they are started, and what their forkserver loads before (ContextOptions::preload).
  StartMethod start_method = StartMethod::kSpawn;
  std::vector<std::string> preload;
  Isolation isolation = Isolation::kKept;
  uint32_t retry_lost = 0;  // As ContextOptions::retry_lost. SchedulerOptions has that of a batch.
  // The socket of a `brood serve` that starts the jobs. An empty `policy` is its own then.
  std::string server;
  std::optional<uint32_t> server_uid;
  std::string server_template;  // LaunchOptions::server_template, of functions.
};

class ProcessRunner : public JobRunner {
 public:
  // Reads and compiles the policy of `defaults`. Errors: those of LoadPolicy, ApplyPolicyOptions and CompilePolicy, and
  //   of making the output directory.
  static absl::StatusOr<std::unique_ptr<ProcessRunner>> Create(const JobDefaults& defaults);

  absl::StatusOr<std::unique_ptr<RunningJob>> Start(const Job& job) override;
  bool AwaitServer(const std::function<bool(absl::Duration)>& pause) override;

  // Starts the forkserver of functions now, if there is one that preloads, and waits for it. What goes wrong there each job tells.
  void Preload() const;

  // Whether the job's policy can be read and takes the job's options, without making it ready for this machine: for
  // looking at all jobs before the first one runs. Errors: those of LoadPolicy and ApplyPolicyOptions.
  absl::Status CheckPolicyOf(const Job& job);

  // Says in `options` with what policy the job runs, and by whom it is started. Errors: those of PolicyOf.
  absl::Status SetPolicyOf(const Job& job, LaunchOptions& options);

  // Where this job may write on the machine it may leave links: from here on none of them is followed to what a job reads, writes or
  // shows. Of all jobs before the first one runs, those too that have run before.
  void Distrust(const Job& job);

  // Those of all such jobs, and of one that says nothing itself.
  std::shared_ptr<const UntrustedDirectories> untrusted() const { return untrusted_; }

  // The policy that the job runs with, made ready. Equal policies are compiled once.
  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> PolicyOf(const Job& job);

 private:
  explicit ProcessRunner(JobDefaults defaults)
      : defaults_(std::move(defaults)), context_(defaults_.start_method, {.max_result_bytes = defaults_.capture_bytes, .preload = defaults_.preload}),
        programs_(StartMethod::kForkServer) {}

  absl::StatusOr<Process> Launch(const Job& job, LaunchOptions options) const;

  // The policy that the job runs with.
  absl::StatusOr<Policy> FindPolicy(const Job& job);
  // By the name that a job says, as it is without options.
  const absl::StatusOr<Policy>& NamedPolicy(const std::string& name);
  void Distrust(const std::vector<FileRule>& rules);

  // What is started for a job, or for one of its programs, whose streams `piped` others take the place of.
  struct Prepared {
    LaunchOptions options;
    UniqueFd directory, stdout_fd, stderr_fd;
    std::string stdout_path, stderr_path;
  };
  absl::Status Prepare(const Job& job, const std::string& name, const bool (&piped)[3], Prepared& to);
  absl::StatusOr<std::unique_ptr<RunningJob>> StartPrograms(const Job& job);

  absl::StatusOr<Stdio> OutputStream(const std::string& own_path, const std::string& directory, int directory_fd,
                                     const char* name, UniqueFd& opened, std::string& path) const;

  JobDefaults defaults_;
  Context context_;   // Of functions.
  Context programs_;  // Whose sandboxes are kept from one job to the next, where that is the same and not kFresh.
  UniqueFd output_dir_;
  std::set<std::string> distrusted_policies_;
  std::shared_ptr<UntrustedDirectories> untrusted_ = std::make_shared<UntrustedDirectories>();  // LaunchOptions::untrusted.
  std::map<std::string, absl::StatusOr<Policy>> policies_;  // By name.
  // By wire form.
  std::map<std::string, absl::StatusOr<std::shared_ptr<const CompiledPolicy>>> compiled_;
};

}  // namespace brood

#endif  // BROOD_BATCH_PROCESS_RUNNER_H_
