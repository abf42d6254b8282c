#include "launcher/slot_testing.h"

#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "sandbox/machine.h"

namespace brood {

void Spin() {
  while (true) pause();
}
BROOD_TARGET(Spin);

void WriteTmp() { std::ofstream("/tmp/left") << "a secret"; }
BROOD_TARGET(WriteTmp);

namespace {

std::string Status(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (absl::StartsWith(line, absl::StrCat(field, ":"))) return line.substr(field.size() + 2);
  }
  return "";
}
// --- targets: one claim each; 0 if it is true ---

ExitCode Answer() { return {42}; }
BROOD_TARGET(Answer);

ExitCode IsConfined() {
  if (getppid() != 0 || getpid() == 1) return {1};
  if (Status("CapPrm") != "0000000000000000" || Status("CapBnd") != "0000000000000000") return {2};
  if (Status("NoNewPrivs") != "1" || Status("Seccomp") != "2") return {3};
  if (getuid() != 1000 || getgid() != 1000) return {4};
  if (access("/root", F_OK) == 0 || access("/usr/bin", F_OK) != 0) return {5};
  if (getenv("HOME") == nullptr || std::string(getenv("HOME")) != "/tmp" || getenv("BROOD_TEST_SECRET") != nullptr) return {6};
  if (getpgrp() != getpid()) return {7};
  rlimit core = {};
  if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max > 1) return {8};
  return {0};
}
BROOD_TARGET(IsConfined);

// RNDGETENTCNT, which nothing else refuses; and what is to stay possible.
ExitCode LandlockHolds() {
  int bits = 0;
  const UniqueFd random(open("/dev/urandom", O_RDONLY | O_CLOEXEC));
  if (!random.valid()) return {1};
  const int controlled = ioctl(random.get(), 0x80045200, &bits);
  if (ThisMachine().landlock_abi >= 5 && (controlled == 0 || errno != EACCES)) return {2};
  if (std::ifstream("/proc/self/exe").get() != 0x7f) return {3};
  if (!(std::ofstream("/tmp/file") << "text").flush() || unlink("/tmp/file") != 0) return {4};
  return {0};
}
BROOD_TARGET(LandlockHolds);

void Mount() { mount("none", "/tmp", "tmpfs", 0, nullptr); }
BROOD_TARGET(Mount);

// By raw numbers, with whatever is left in the registers of a secret.
void Receive() { syscall(SYS_recvmsg, 0, nullptr, 0, 0, 0, 0); }
BROOD_TARGET(Receive);

ExitCode IsClone3Unknown() { return {syscall(SYS_clone3, nullptr, 0, 0, 0, 0, 0) < 0 && errno == ENOSYS ? 0 : 1}; }
BROOD_TARGET(IsClone3Unknown);

ExitCode CannotBypassStores() {
  std::ifstream status("/proc/self/status");
  const std::string text(std::istreambuf_iterator<char>(status), {});
  return {absl::StrContains(text, "Speculation_Store_Bypass:\tthread force mitigated") ? 0 : 1};
}
BROOD_TARGET(CannotBypassStores);

void Segfault() { raise(SIGSEGV); }
BROOD_TARGET(Segfault);

ExitCode TmpIsEmpty() { return {access("/tmp/left", F_OK) != 0 && errno == ENOENT ? 0 : 1}; }
BROOD_TARGET(TmpIsEmpty);

void LeaveDaemons() {
  for (int i = 0; i < 3; ++i) {
    if (fork() == 0) {
      setsid();
      for (int j = 0; j < 2 && fork() == 0; ++j) {
      }
      while (true) pause();
    }
  }
}
BROOD_TARGET(LeaveDaemons);

// Processes besides ours and the init.
ExitCode OthersAreThere() {
  int others = 0;
  for (int pid = 2; pid < 4096; ++pid) {
    if (pid != getpid() && (kill(pid, 0) == 0 || errno == EPERM)) ++others;
  }
  return {others};
}
BROOD_TARGET(OthersAreThere);

// As many as it could.
ExitCode ForkUntilRefused() {
  int forks = 0;
  for (pid_t pid; forks < 100 && (pid = fork()) >= 0; ++forks) {
    if (pid > 0) continue;
    while (true) pause();
  }
  return {forks};
}
BROOD_TARGET(ForkUntilRefused);

void SignalGroup() { kill(0, SIGKILL); }
BROOD_TARGET(SignalGroup);
void SignalAll() { kill(-1, SIGKILL); }
BROOD_TARGET(SignalAll);

void EatMemory() {
  for (int i = 0; i < 1024; ++i) {
    auto* const block = static_cast<volatile char*>(malloc(1 << 20));
    for (size_t at = 0; at < 1 << 20; at += 4096) block[at] = 1;
  }
}
BROOD_TARGET(EatMemory);

ExitCode MakePosixQueue() { return {mq_open("/left", O_CREAT | O_RDWR, 0600, nullptr) >= 0 ? 0 : 1}; }
BROOD_TARGET(MakePosixQueue);

}  // namespace
}  // namespace brood
