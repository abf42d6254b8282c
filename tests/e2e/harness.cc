#include "tests/e2e/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/runfiles.h"
#include "gtest/gtest.h"

namespace brood {

std::string Ended::Text() const { return absl::StrCat(outcome.ToString(), "\nstdout: ", out, "\nstderr: ", err); }

std::string ProgramPath(const std::string& name) {
  // Set where the test runs as another user, who can't read the runfiles.
  const char* copied = getenv("BROOD_TEST_PROGRAMS");
  const std::string directory = copied != nullptr ? copied : RunfilesDirectory("tests/programs/bin").value();
  // Runfiles are symbolic links, which would dangle inside.
  return std::filesystem::canonical(absl::StrCat(directory, "/", name)).string();
}

std::string ProgramInside(const std::string& name) { return absl::StrCat("/programs/", name); }

absl::StatusOr<Process> StartProgram(std::string_view policy_name, std::vector<std::string> argv,
                                     const Tweaks& tweaks) {
  absl::StatusOr<Policy> policy = BuiltinPolicy(policy_name);
  if (!policy.ok()) return policy.status();
  const std::string name = argv[0];
  if (policy->namespaces.count(Layer::kMount) != 0) {
    argv[0] = ProgramInside(name);
    policy->files.push_back({.source = ProgramPath(name), .destination = argv[0]});
  } else {
    argv[0] = ProgramPath(name);
  }
  if (tweaks.policy) tweaks.policy(*policy);
  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(*policy);
  if (!compiled.ok()) return compiled.status();
  LaunchOptions options;
  options.argv = std::move(argv);
  options.policy = *std::move(compiled);
  options.stdin_spec = Stdio::Null();
  options.stdout_spec = Stdio::Capture();
  options.stderr_spec = Stdio::Capture();
  if (tweaks.options) tweaks.options(options);
  return Process::Launch(options);
}

Ended RunProgram(std::string_view policy, std::vector<std::string> argv, const Tweaks& tweaks) {
  Ended run;
  absl::StatusOr<Process> process = StartProgram(policy, std::move(argv), tweaks);
  EXPECT_TRUE(process.ok()) << process.status();
  if (!process.ok()) return run;
  absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(60));
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  if (!outcome.ok()) return run;
  run.outcome = *std::move(outcome);
  run.out = Content(process->TakeStdout());
  run.err = Content(process->TakeStderr());
  return run;
}

PlainRun RunPlain(const std::vector<std::string>& argv, const std::vector<std::string>& env) {
  PlainRun run;
  TemporaryDirectory directory;
  const std::string out = directory.path() + "/out";
  const std::string err = directory.path() + "/err";
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    for (const std::string& entry : env) putenv(strdup(entry.c_str()));
    dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), STDERR_FILENO);
    execvp(words[0], words.data());
    _exit(127);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return run;
  run.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  run.out = Content(UniqueFd(open(out.c_str(), O_RDONLY | O_CLOEXEC)));
  run.err = Content(UniqueFd(open(err.c_str(), O_RDONLY | O_CLOEXEC)));
  return run;
}

std::string ViolationOf(const Ended& run) {
  const auto* violation = std::get_if<Violation>(&run.outcome.ending);
  return violation != nullptr ? violation->syscall : "";
}

bool SaysItWorked(const Ended& run) { return absl::StrContains(run.out, "worked: "); }

std::string Content(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  ssize_t count;
  while ((count = pread(fd.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0) {
    text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

std::set<pid_t> ProcessesNamed(const std::string& token) {
  std::set<pid_t> pids;
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(it->path().filename().string(), &pid)) continue;
    std::ifstream file(it->path() / "cmdline", std::ios::binary);
    // Any process of the machine may end right here. An iterator would throw then; this leaves what was read.
    std::ostringstream line;
    line << file.rdbuf();
    const std::vector<std::string> words = absl::StrSplit(line.str(), '\0');
    if (std::find(words.begin(), words.end(), token) != words.end()) pids.insert(pid);
  }
  return pids;
}

bool WaitFor(const std::function<bool()>& done, absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  while (!done()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

TemporaryDirectory::TemporaryDirectory() {
  char pattern[] = "/tmp/brood-e2e.XXXXXX";
  if (mkdtemp(pattern) == nullptr) ADD_FAILURE() << "mkdtemp failed";
  path_ = pattern;
  chmod(pattern, 0777);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  // The kernel leaves a directory of mode 0 where an overlay has kept its changes, into which only root may look.
  const std::filesystem::directory_options options = std::filesystem::directory_options::skip_permission_denied;
  for (std::filesystem::recursive_directory_iterator it(path_, options, error), end; !error && it != end; it.increment(error)) {
    if (it->symlink_status(error).type() == std::filesystem::file_type::directory) chmod(it->path().c_str(), 0700);
  }
  std::filesystem::remove_all(path_, error);
}

bool IsRoot() { return geteuid() == 0; }

}  // namespace brood
