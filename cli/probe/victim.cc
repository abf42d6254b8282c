#include "cli/probe/victim.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"

namespace brood::probe {
namespace {

std::string FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

// "T" is stopped, "t" traced, "Z" dead. The name in parentheses may hold anything. proc(5).
char StateLetter(pid_t pid) {
  const std::string stat = FileText(absl::StrCat("/proc/", pid, "/stat"));
  const size_t name_end = stat.rfind(')');
  return name_end == std::string::npos || name_end + 2 >= stat.size() ? '?' : stat[name_end + 2];
}

}  // namespace

absl::StatusOr<Victim> Victim::Start(const std::string& program, const std::string& secret) {
  int says[2];
  if (pipe2(says, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  UniqueFd read_end(says[0]);
  const UniqueFd write_end(says[1]);
  const std::string variable = absl::StrCat("BROOD_VICTIM_SECRET=", secret);
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    setpgid(0, 0);
    dup2(write_end.get(), STDOUT_FILENO);
    const char* argv[] = {"brood-victim", "--victim", secret.c_str(), nullptr};
    const char* envp[] = {variable.c_str(), nullptr};
    execve(program.c_str(), const_cast<char**>(argv), const_cast<char**>(envp));
    _exit(127);
  }
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  Victim victim(pid, std::move(pidfd), std::move(read_end));
  victim.Listen("");
  unsigned long long secret_address = 0;
  unsigned long long word_address = 0;
  if (sscanf(victim.said_.c_str(), "secret=%llx word=%llx", &secret_address, &word_address) != 2) {
    return absl::InternalError(absl::StrCat("start ", program, " --victim: it says \"", victim.said_, "\""));
  }
  victim.secret_address_ = secret_address;
  victim.word_address_ = word_address;
  victim.said_.clear();
  return victim;
}

Victim::~Victim() {
  if (!pidfd_.valid()) return;
  syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  // If it is reaped already this finds no child. It cannot be another one: pids are taken from the whole range in turn.
  waitpid(pid_, nullptr, 0);
}

void Victim::Listen(const std::string& last) {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (absl::Now() < deadline) {
    const size_t at = last.empty() ? 0 : said_.find(last);
    if (at != std::string::npos && said_.find('\n', at) != std::string::npos) return;
    pollfd ready = {says_.get(), POLLIN, 0};
    if (poll(&ready, 1, 20) == 1) {
      char buffer[4096];
      const ssize_t count = read(says_.get(), buffer, sizeof(buffer));
      if (count <= 0) return;
      said_.append(buffer, static_cast<size_t>(count));
      continue;
    }
    const char state = StateLetter(pid_);
    if (state == 'T' || state == 't' || state == 'Z' || state == '?') return;
  }
}

std::string Victim::State(Urgent urgent) {
  syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGRTMAX, nullptr, 0);
  Listen("pong");
  if (urgent == Urgent::kIgnored) said_ = absl::StrReplaceAll(said_, {{absl::StrCat("signal ", SIGURG, "\n"), ""}});
  const char letter = StateLetter(pid_);
  const bool runs = letter == 'S' || letter == 'R' || letter == 'D';
  std::string text = absl::StrCat(runs ? "runs" : absl::StrCat("in state ", std::string(1, letter)), ", says ",
                                  absl::StrReplaceAll(said_, {{"\n", ", "}}));
  said_.clear();
  rlimit limit{};
  prlimit(pid_, RLIMIT_NOFILE, nullptr, &limit);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  sched_getaffinity(pid_, sizeof(cpus), &cpus);
  absl::StrAppend(&text, "descriptor limit ", limit.rlim_cur, ", CPUs ", CPU_COUNT(&cpus), ", nice ",
                  getpriority(PRIO_PROCESS, static_cast<id_t>(pid_)), ", scheduler ", sched_getscheduler(pid_),
                  ", I/O priority ", syscall(SYS_ioprio_get, 1, pid_), ", OOM score adjustment ",
                  FileText(absl::StrCat("/proc/", pid_, "/oom_score_adj")));
  return text;
}

}  // namespace brood::probe
