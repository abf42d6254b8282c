// Which file systems are this kernel's own is known, with statmount(2) and without it. Those of other processes are met in
// serve/slow_file_test.cc.
#include "base/slow_file.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

// A container's filter, and a kernel before Linux 6.8.
bool RefuseStatmount(uint32_t error) {
  const sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 457, 0, 1),
                                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {4, const_cast<sock_filter*>(filter)};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

std::string Slow(const char* path) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  return !fd.valid() || IsSlowFile(fd.get()) ? absl::StrCat(path, " ") : "";
}

// In a mount namespace of its own, where it may have one: an overlay, and the same when nobody sees it any more.
std::string SlowOverlay() {
  char place[] = "/tmp/brood-test-XXXXXX";
  if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "";
  if (mkdtemp(place) == nullptr || mount("tmpfs", place, "tmpfs", 0, nullptr) != 0) return "no tmpfs";
  const std::string upper = absl::StrCat(place, "/upper"), work = absl::StrCat(place, "/work"), view = absl::StrCat(place, "/view");
  for (const std::string& directory : {upper, work, view}) mkdir(directory.c_str(), 0755);
  const std::string options = absl::StrCat("lowerdir=/etc,upperdir=", upper, ",workdir=", work);
  std::string slow;
  if (mount("overlay", view.c_str(), "overlay", 0, options.c_str()) == 0) {
    slow = Slow(absl::StrCat(view, "/passwd").c_str());
    const UniqueFd file(open(absl::StrCat(view, "/passwd").c_str(), O_RDONLY | O_CLOEXEC));
    umount2(view.c_str(), MNT_DETACH);
    if (!IsSlowFile(file.get())) slow += "what is detached was taken for known";
  }
  umount2(place, MNT_DETACH);
  rmdir(place);
  return slow;
}

// In a process of its own, which the filter stays with.
std::string SlowWhere(uint32_t statmount_gives) {
  int report[2];
  EXPECT_EQ(pipe2(report, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (statmount_gives != 0 && !RefuseStatmount(statmount_gives)) _exit(1);
    std::string slow;
    for (const char* path : {"/", "/proc", "/proc/self/status", "/sys", "/dev/shm", "/dev/null", "/tmp", "/etc/passwd"}) slow += Slow(path);
    const UniqueFd memory(static_cast<int>(syscall(SYS_memfd_create, "memory", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
    if (IsSlowFile(memory.get())) slow += "memory ";
    slow += SlowOverlay();
    _exit(write(report[1], slow.data(), slow.size()) == static_cast<ssize_t>(slow.size()) ? 0 : 1);
  }
  close(report[1]);
  char text[512] = {};
  EXPECT_GE(read(report[0], text, sizeof(text) - 1), 0);
  close(report[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return text;
}

TEST(IsSlowFileTest, WhatTheKernelKeepsItselfIsNot) { EXPECT_EQ(SlowWhere(0), ""); }

TEST(IsSlowFileTest, NorWhereStatmountIsRefusedOrMissing) {
  for (const uint32_t error : {EPERM, ENOSYS}) EXPECT_EQ(SlowWhere(error), "") << error;
}

TEST(IsSlowFileTest, NoDescriptorIsNoFile) { EXPECT_FALSE(IsSlowFile(-1)); }

}  // namespace
}  // namespace brood
