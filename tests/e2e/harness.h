// What end-to-end tests share: hostile programs run in a sandbox, and a look at the machine from outside.
//
//   Ended run = RunProgram("strict", {"mounts_tmpfs"});
//   EXPECT_EQ(ViolationOf(run), "mount");
//
// A test binary made with it enters a private mount namespace first if it may, so that a sandbox that is broken does
// not mount anything on the machine.
#ifndef BROOD_TESTS_E2E_HARNESS_H_
#define BROOD_TESTS_E2E_HARNESS_H_

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/process.h"

namespace brood {

// How a program ended, and what it wrote.
struct Ended {
  Outcome outcome;
  std::string out;
  std::string err;

  // For the messages of a failed test.
  std::string Text() const;
};

// The absolute path of one of tests/programs, outside.
std::string ProgramPath(const std::string& name);

// Where a sandbox shows it.
std::string ProgramInside(const std::string& name);

struct Tweaks {
  std::function<void(Policy&)> policy;          // Changes the built-in.
  std::function<void(LaunchOptions&)> options;  // Changes the launch.
};

// Starts argv[0], the name of one of tests/programs, in a sandbox of that built-in policy. stdin is /dev/null.
absl::StatusOr<Process> StartProgram(std::string_view policy, std::vector<std::string> argv, const Tweaks& tweaks = {});

// As StartProgram, and waits. An error of brood is a failed test.
Ended RunProgram(std::string_view policy, std::vector<std::string> argv, const Tweaks& tweaks = {});

// Runs a program as it is, without brood, by fork and exec. `code` is 0 to 255, or -n for signal n.
struct PlainRun {
  int code = -1000;
  std::string out;
  std::string err;
};
PlainRun RunPlain(const std::vector<std::string>& argv, const std::vector<std::string>& env = {});

// The system call that the run was ended for, or "" if it ended otherwise.
std::string ViolationOf(const Ended& run);

// True if the program says "worked: ..." of anything.
bool SaysItWorked(const Ended& run);

// The content of a captured stream.
std::string Content(const UniqueFd& fd);

// Pids of processes that have `token` as a whole argument.
std::set<pid_t> ProcessesNamed(const std::string& token);

// Waits until `done`, looking every few milliseconds. False after `limit`.
bool WaitFor(const std::function<bool()>& done, absl::Duration limit = absl::Seconds(10));

// A directory that goes with the object; everybody may write to it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

bool IsRoot();

}  // namespace brood

#endif  // BROOD_TESTS_E2E_HARNESS_H_
