// The hostile jobs of `brood demo`, what must become of each, and how to see from outside that it did no harm.
#ifndef BROOD_CLI_DEMO_ATTACKS_H_
#define BROOD_CLI_DEMO_ATTACKS_H_

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "batch/job.h"
#include "batch/job_runner.h"
#include "launcher/process.h"

namespace brood {

// What the attacks aim at: a listener on 127.0.0.1, a process that must stay alive, a directory that must stay empty.
// Removes all of it when destroyed.
class DemoTargets {
 public:
  // `programs` is the directory of the hostile programs.
  static absl::StatusOr<DemoTargets> Create(const std::string& programs);
  DemoTargets(DemoTargets&&) noexcept = default;
  DemoTargets& operator=(DemoTargets&&) = delete;
  ~DemoTargets();

  int port() const { return port_; }
  pid_t outsider() const { return outsider_.pid(); }
  const std::string& directory() const { return directory_; }

  // Where a sandbox shows the hostile programs. No other process of this machine has it in its command line.
  const std::string& inside() const { return inside_; }

  // "" or what an attack has done: somebody connected, the outsider is dead, the directory isn't empty, a process of an
  // attack is left.
  std::string Connection() const;
  std::string Outsider();
  std::string Directory() const;
  std::string LeftProcess(const std::string& program) const;

 private:
  DemoTargets(Process outsider, std::string directory)
      : outsider_(std::move(outsider)), directory_(std::move(directory)) {}

  Process outsider_;
  std::string directory_;
  std::string inside_;
  UniqueFd listener_;
  int port_ = 0;
};

struct Attack {
  std::string what;  // "connects to the network".
  Job job;
  std::set<std::string> statuses;         // Outcome::StatusWord(): any of these is the right outcome.
  std::string syscall;                    // For a violation: the call that must be reported.
  std::function<std::string()> evidence;  // From outside, when all jobs have ended: "" or the harm done.
};

// Each attack runs in `strict`, with nothing added but its program. `targets` outlives the result.
absl::StatusOr<std::vector<Attack>> HostileJobs(const std::string& programs, DemoTargets& targets);

// "" if the attack was stopped with the right outcome and did no harm, else what is wrong.
std::string Judge(const Attack& attack, const JobEnd& end);

// What stopped it, in a few words: "system call filter: socket(2, 1, 6)", "memory limit, kept by cgroup v1".
std::string StoppedBy(const JobEnd& end);

}  // namespace brood

#endif  // BROOD_CLI_DEMO_ATTACKS_H_
