#include "cli/probe/run_command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace brood::probe {
namespace {

// Reads what there is. The first and the last bytes are kept: attacks may write without end.
void Drain(int fd, std::string* kept, uint64_t* bytes) {
  constexpr size_t kHalf = 64 * 1024;
  char buffer[64 * 1024];
  // At most a few rounds, so that a writer without end does not keep us from looking at the clock.
  for (int round = 0; round < 16; ++round) {
    const ssize_t count = read(fd, buffer, sizeof(buffer));
    if (count <= 0) return;
    *bytes += static_cast<uint64_t>(count);
    kept->append(buffer, static_cast<size_t>(count));
    if (kept->size() > 4 * kHalf) kept->erase(kHalf, kept->size() - 2 * kHalf);
  }
}

std::string CommandLine(const std::string& directory) {
  std::ifstream file(directory + "/cmdline", std::ios::binary);
  std::ostringstream line;
  line << file.rdbuf();
  return line.str();
}

bool HasWord(pid_t pid, const std::string& word) {
  const std::string directory = absl::StrCat("/proc/", pid);
  std::string line = CommandLine(directory);
  // A process whose first thread has ended looks like a zombie, but for its other threads.
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory + "/task", error), last; line.empty() && !error && it != last;
       it.increment(error)) {
    line = CommandLine(it->path().string());
  }
  const std::vector<std::string> words = absl::StrSplit(line, '\0');
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Its children stay its own until it waits for them, so that these are no others. It must be alive, and ours.
bool KillChildrenOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/task/", pid, "/children"));
  bool killed = false;
  for (pid_t child = 0; file >> child;) killed |= kill(child, SIGKILL) == 0;
  return killed;
}

[[noreturn]] void Exec(const Command& command, int out, int err) {
  setsid();
  if (command.terminal >= 0) {
    ioctl(command.terminal, TIOCSCTTY, 0);
    dup2(command.terminal, STDIN_FILENO);
  } else {
    dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  }
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  command.prepare();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<char*> words;
  for (const std::string& word : command.argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execvp(words[0], words.data());
  const std::string problem = absl::StrCat("exec ", command.argv[0], ": ", ErrnoText(errno), "\n");
  if (write(STDERR_FILENO, problem.data(), problem.size()) < 0) _exit(126);
  _exit(127);
}

}  // namespace

absl::StatusOr<CommandEnd> RunCommand(const Command& command) {
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  const UniqueFd out_read(out[0]);
  UniqueFd out_write(out[1]);
  if (pipe2(err, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  const UniqueFd err_read(err[0]);
  UniqueFd err_write(err[1]);
  for (const int fd : {out[0], err[0]}) fcntl(fd, F_SETFL, O_NONBLOCK);

  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) Exec(command, out[1], err[1]);
  out_write.reset();
  err_write.reset();
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    const int error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return ErrnoStatus(error, "pidfd_open");
  }

  CommandEnd end;
  const absl::Time deadline = absl::Now() + command.patience;
  pollfd ready[] = {{pidfd.get(), POLLIN, 0}, {out_read.get(), POLLIN, 0}, {err_read.get(), POLLIN, 0}};
  for (bool killed = false;;) {
    const absl::Duration left = deadline - absl::Now();
    // A killed launcher may take its time to go, but not for ever: it is in the kernel's hands.
    if (left <= absl::ZeroDuration() && !killed) {
      end.timed_out = true;
      break;
    }
    poll(ready, 3, killed ? -1 : static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    Drain(out_read.get(), &end.out, &end.bytes);
    Drain(err_read.get(), &end.err, &end.bytes);
    // What is at its end would be ready without pause.
    for (pollfd& stream : ready) {
      if ((stream.revents & POLLHUP) != 0 && (stream.revents & POLLIN) == 0) stream.fd = -1;
    }
    if ((ready[0].revents & POLLIN) != 0) break;
    if (!killed && command.enough(end.out)) killed = KillChildrenOf(pid);
  }
  Drain(out_read.get(), &end.out, &end.bytes);
  Drain(err_read.get(), &end.err, &end.bytes);
  if (end.timed_out) return end;  // The caller looks who is there, then ends it.
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  end.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return end;
}

absl::StatusOr<std::string> OutputOf(std::vector<std::string> argv) {
  const std::string program = argv[0];
  BROOD_ASSIGN_OR_RETURN(CommandEnd end, RunCommand({.argv = std::move(argv)}));
  if (end.timed_out || end.code != 0) {
    return absl::InternalError(absl::StrCat("run ", program, ": exit code ", end.code, ": ", end.err));
  }
  return std::move(end.out);
}

std::set<pid_t> ProcessesWith(const std::string& word) {
  std::set<pid_t> pids;
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc", error), last; !error && it != last; it.increment(error)) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(it->path().filename().string(), &pid) && HasWord(pid, word)) pids.insert(pid);
  }
  return pids;
}

bool AnyProcessWith(const std::string& word) {
  for (int look = 0; look < 3; ++look) {
    if (!ProcessesWith(word).empty()) return true;
  }
  return false;
}

bool KillProcessesWith(const std::string& word) {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  for (;;) {
    const std::set<pid_t> pids = ProcessesWith(word);
    for (const pid_t pid : pids) {
      const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
      // The number cannot pass to another process between this look and the signal.
      if (pidfd.valid() && HasWord(pid, word)) syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    }
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (pids.empty() && !AnyProcessWith(word)) return true;
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
}

void EndLeftovers() {
  const absl::Time deadline = absl::Now() + absl::Seconds(2);
  do {
    pid_t ended;
    while ((ended = waitpid(-1, nullptr, WNOHANG | __WALL)) > 0) {
    }
    if (ended < 0) return;  // ECHILD.
    // Their own children come to us when they have ended.
    if (!KillChildrenOf(getpid())) return;
    absl::SleepFor(absl::Milliseconds(1));
  } while (absl::Now() < deadline);
}

}  // namespace brood::probe
