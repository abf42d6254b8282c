// What all files of the conformance suite share: a fixture that runs once for each start method, and that fails a test
// which leaves a process or a descriptor behind; small targets; the usual waits, each with a deadline.
//
//   using ExitCodeTest = ConformanceTest;
//   BROOD_FOR_EACH_START_METHOD(ExitCodeTest);
//   TEST_P(ExitCodeTest, ...) { EXPECT_EQ(context_.Call(...), ...); }
#ifndef BROOD_TESTS_CONFORMANCE_CONFORMANCE_H_
#define BROOD_TESTS_CONFORMANCE_CONFORMANCE_H_

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "ipc/descriptor_leaks.h"
#include "launcher/context.h"
#include "launcher/launcher.h"
#include "tests/conformance/start_methods.h"

namespace brood {

// A descriptor's two ends, close-on-exec.
struct RawPipe {
  RawPipe();
  UniqueFd reader;
  UniqueFd writer;
};

// Longer than anything here takes, so that a test which fails does not hang.
inline constexpr int kPatienceMs = 60'000;

bool IsReadable(int fd, int timeout_ms = 0);
bool EndsWithinPatience(int fd);           // True when the last writer is gone; false after kPatienceMs.
std::string ReadToEnd(int fd);             // Until the last writer is gone, or kPatienceMs pass.
std::string ReadFromStart(const UniqueFd& file);
UniqueFd InheritableCopy(const UniqueFd& fd);  // One that a bare start of a program would pass on.
std::set<int> ChildrenOfThisProcess();     // Zombies too.
char ReadByte(const UniqueFd& pipe);       // '\0' at the end.
bool NobodyReads(const UniqueFd& pipe);    // Its readers are gone.
std::vector<std::string> DoNothingProgram();  // A command line.
std::string ProgramThatEndsAtOnce();       // A path. Whatever its arguments, it reads nothing.

void SetVariable(const char* name, const char* value);
std::string CommandLineAndEnvironment();   // Of this process, as others may see it and as it sees it itself.

UniqueFd OpenPid(int pid);                 // Readable when that process has ended.

// Linux only.
char StateOf(int pid);                     // 'R', 'S', 'Z'; 0 if there is no such process. /proc/[pid]/stat
int NearestAbove(int pid, std::string_view name);  // `pid` or an ancestor of it that has this name; 0: none.

// A folder that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// --- targets of all files ---

int Identity(int value);
void Nothing();
void Sleep();                              // Until a signal.
void WaitForEnd(const UniqueFd& pipe);     // Until the last writer of `pipe` is gone.
void WriteByte(const UniqueFd& pipe, char byte);

// As Context::Start gives it, with what it printed.
struct Ended {
  Outcome outcome;
  std::string out;
  std::string err;
};

class ConformanceTest : public testing::TestWithParam<StartMethod> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A child that runs until Release, or the end of the test.
  Process StartWaiting(LaunchOptions options = {});
  void Release() { held_.reset(); }

  template <typename Function, typename... Arguments>
  Ended Run(Function function, const Arguments&... arguments) {
    LaunchOptions options;
    options.stdout_spec = Stdio::Capture();
    options.stderr_spec = Stdio::Capture();
    absl::StatusOr<Process> process = context_.Start(options, function, arguments...);
    if (!process.ok()) {
      ADD_FAILURE() << process.status();
      return {};
    }
    Ended ended;
    ended.outcome = process->Join(absl::Milliseconds(kPatienceMs)).value();
    ended.out = ReadFromStart(process->TakeStdout());
    ended.err = ReadFromStart(process->TakeStderr());
    return ended;
  }

  int method() const { return static_cast<int>(GetParam()); }  // As an argument of a target.
  bool IsFork() const { return GetParam() == StartMethod::kFork; }

  const Context context_{GetParam()};

 private:
  UniqueFd held_;
  std::set<int> descriptors_;
  std::set<int> children_;
};

#define BROOD_FOR_EACH_START_METHOD(suite)                                                \
  INSTANTIATE_TEST_SUITE_P(StartMethods, suite, testing::ValuesIn(::brood::StartMethodsHere()), \
                           [](const auto& info) { return std::string(::brood::StartMethodName(info.param)); })

}  // namespace brood

#endif  // BROOD_TESTS_CONFORMANCE_CONFORMANCE_H_
