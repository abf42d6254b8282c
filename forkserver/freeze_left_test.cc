// What is not frozen, or not at all, and what freezing leaves as it was.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory_resource>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "forkserver/freeze.h"
#include "forkserver/freeze_plan.h"
#include "forkserver/freeze_testing.h"
#include "forkserver/in_child_testing.h"
#include "forkserver/smaps.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(FreezeLeftTest, WhatCannotBeMovedIsLeftAndNamedWithItsReason) {
  TestInChild([] {
    const auto map = [](int flags = 0) {
      char* const memory = static_cast<char*>(mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0));
      EXPECT_NE(memory, MAP_FAILED);
      Fill(memory, kMiB, 1);
      return memory;
    };
    char* const not_inherited = map();
    ASSERT_EQ(madvise(not_inherited, kMiB, MADV_DONTFORK), 0);
    char* const wiped = map();
    ASSERT_EQ(madvise(wiped, kMiB, MADV_WIPEONFORK), 0);
    char* const locked = map();
    ASSERT_EQ(mlock(locked, 64 * 1024), 0);  // RLIMIT_MEMLOCK may be little.
    char* const unreadable = map();
    ASSERT_EQ(mprotect(unreadable, kMiB, PROT_NONE), 0);
    char* const executable = map();
    ASSERT_EQ(mprotect(executable, kMiB, PROT_READ | PROT_EXEC), 0);
    char* const kept = map();
    for (char* const end : {kept, kept + kMiB - 4096}) ASSERT_EQ(mprotect(end, 4096, PROT_NONE), 0);  // No neighbour's, too.
    char* const guard = map();
    ASSERT_EQ(mprotect(guard, 4096, PROT_NONE), 0);
    int on_stack = 1;
    const FreezeReport report = Freeze({.keep = {{.address = kept + 5000, .bytes = 1}}});
    EXPECT_EQ(ReasonAt(report, not_inherited), "not inherited (MADV_DONTFORK)");
    EXPECT_EQ(ReasonAt(report, wiped), "wiped in children (MADV_WIPEONFORK)");
    EXPECT_EQ(ReasonAt(report, locked), "locked into memory (mlock)");
    EXPECT_EQ(ReasonAt(report, unreadable), "not readable");
    EXPECT_EQ(ReasonAt(report, executable), "executable");
    EXPECT_EQ(ReasonAt(report, kept + 4096), "kept, as was asked for");
    EXPECT_EQ(ReasonAt(report, &on_stack), "the stack in use");
    EXPECT_TRUE(absl::StrContains(report.ToString(), "[stack]: the stack in use")) << report.ToString();
    for (const char* left : {not_inherited, wiped, locked, unreadable, executable, kept + 4096}) EXPECT_FALSE(IsFrozenAt(left));
    EXPECT_TRUE(IsFrozenAt(guard + 8192));
    // What they are for still holds.
    TestInChild([&] {
      EXPECT_EQ(wiped[8], 0);
      EXPECT_EQ(wiped[kMiB / 2], 0);
      unsigned char resident = 0;
      EXPECT_EQ(mincore(not_inherited, 4096, &resident), -1);
      EXPECT_EQ(errno, ENOMEM);
    });
  });
}

// The kernel cannot read there, and says so in the middle of the work.
TEST(FreezeLeftTest, AViewBeyondTheEndOfItsFileIsLeftAndAllElseIsFrozen) {
  TestInChild([] {
    const Content content(10);
    const uint64_t before = content.Checksum();
    FILE* const file = tmpfile();
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(ftruncate(fileno(file), 4096), 0);
    char* const view = static_cast<char*>(mmap(nullptr, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0));
    ASSERT_NE(view, MAP_FAILED);
    view[0] = 1;
    const FreezeReport report = Freeze();
    EXPECT_TRUE(absl::StrContains(ReasonAt(report, view), "EFAULT")) << ReasonAt(report, view);
    EXPECT_FALSE(IsFrozenAt(view));
    EXPECT_TRUE(IsFrozenAt(content.mapped()));
    EXPECT_EQ(view[0], 1);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == before && view[0] == 1 && Torture(); }));
    fclose(file);
  });
}

TEST(FreezeLeftTest, AGuardPageStaysOne) {
  TestInChild([] {
    constexpr int kInstallGuard = 102;  // MADV_GUARD_INSTALL, of Linux 6.13. madvise(2)
    char* const memory = static_cast<char*>(mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    Fill(memory, kMiB, 1);
    if (madvise(memory + kMiB / 2, 4096, kInstallGuard) != 0) return;  // This kernel has none.
    const uint64_t sum = Sum(memory, kMiB / 2);
    const FreezeReport report = Freeze();
    EXPECT_NE(LeftAt(report, memory), nullptr);
    EXPECT_EQ(Sum(memory, kMiB / 2), sum);
    const rlimit none = {};
    setrlimit(RLIMIT_CORE, &none);
    EXPECT_FALSE(TrueInChild([&] { return *static_cast<volatile char*>(memory + kMiB / 2) == 0 || true; }));
  });
}

TEST(FreezeLeftTest, WhatWasSaidOfMemoryHoldsStill) {
  TestInChild([] {
    constexpr size_t kBytes = 4 * kMiB;
    char* const memory = static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_EQ(madvise(memory, kBytes, MADV_DONTDUMP), 0);
    ASSERT_EQ(madvise(memory, kBytes, MADV_NOHUGEPAGE), 0);
    Fill(memory, kBytes, 1);
    const FreezeReport report = Freeze();
    EXPECT_LT(report.huge_bytes, kBytes);  // There is no more than a few KiB besides.
    const std::string text = internal::ReadSmaps().value();
    const auto mappings = internal::ParseSmaps(text, std::pmr::new_delete_resource()).value();
    for (const internal::Mapping& mapping : mappings) {
      const auto at = reinterpret_cast<uintptr_t>(memory);
      if (at < mapping.start || at >= mapping.end) continue;
      EXPECT_TRUE(internal::IsFrozen(mapping));
      EXPECT_TRUE(mapping.Has("dd") && mapping.Has("nh")) << mapping.flags;
    }
  });
}

TEST(FreezeLeftTest, SharedMemoryStaysShared) {
  TestInChild([] {
    int* const shared = static_cast<int*>(mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    *shared = 1;
    Freeze();
    EXPECT_TRUE(TrueInChild([&] { return ++*shared == 2; }));
    EXPECT_EQ(*shared, 2);
  });
}

// What a child may try to change what its siblings will read.
TEST(FreezeLeftTest, NoWayOfWritingReachesTheFileItself) {
  TestInChild([] {
    const Content content(12);
    const uint64_t before = content.Checksum();
    Freeze();
    FrozenTaint::Mapping frozen;
    const FrozenTaint taint = ReadFrozenTaint().value();
    for (const FrozenTaint::Mapping& one : taint.mappings) {
      const auto at = reinterpret_cast<uintptr_t>(content.mapped());
      if (one.start <= at && at < one.end) frozen = one;
    }
    ASSERT_NE(frozen.start, 0u);
    TestInChild([&] {
      // As a debugger writes.
      const int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
      EXPECT_EQ(pwrite(memory, "hostile", 7, static_cast<off_t>(reinterpret_cast<uintptr_t>(content.mapped()))), 7);
      EXPECT_NE(madvise(content.mapped(), kMiB, MADV_REMOVE), 0);
      // For whoever may follow such links. proc(5)
      const std::string link = absl::StrCat("/proc/self/map_files/", absl::Hex(frozen.start), "-", absl::Hex(frozen.end));
      const int file = open(link.c_str(), O_RDWR | O_CLOEXEC);
      if (file < 0) return;
      EXPECT_EQ(pwrite(file, "hostile", 7, 0), -1);
      EXPECT_EQ(errno, EPERM);
      EXPECT_EQ(ftruncate(file, 0), -1);
      EXPECT_EQ(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
      EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), MAP_FAILED);
    });
    EXPECT_EQ(content.Checksum(), before);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == before; }));
  });
}

TEST(FreezeLeftTest, NotWithAnotherThread) {
  TestInChild([] {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    std::thread thread([&] {
      char byte;
      (void)!read(fds[0], &byte, 1);
    });
    const absl::Status status = FreezeProcess({}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "1 other threads")) << status;
    ASSERT_EQ(write(fds[1], "", 1), 1);
    thread.join();
    Freeze();
  });
}

struct Pipe {
  int read_end = -1;
};

TEST(FreezeLeftTest, NotWhileAnotherProcessSharesTheMemory) {
  TestInChild([] {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    alignas(16) static char stack[64 * 1024];
    Pipe pipe = {.read_end = fds[0]};
    const pid_t sharer = clone(
        [](void* arg) {
          char byte;
          (void)!read(static_cast<Pipe*>(arg)->read_end, &byte, 1);
          return 0;
        },
        stack + sizeof(stack), CLONE_VM | SIGCHLD, &pipe);
    ASSERT_GT(sharer, 0);
    const absl::Status status = FreezeProcess({}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "another process shares this memory")) << status;
    ASSERT_EQ(write(fds[1], "", 1), 1);
    ASSERT_EQ(waitpid(sharer, nullptr, 0), sharer);
    Freeze();
  });
}

// Has the kernel kill this process when it calls unshare(2), as a sandbox may.
bool ForbidUnshare() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {.len = std::size(program), .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(FreezeLeftTest, UnderAFilterOfSystemCallsOnlyWithoutChildren) {
  TestInChild([] {
    const Content content(11);
    const uint64_t before = content.Checksum();
    ASSERT_TRUE(ForbidUnshare());
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(fds[1]);
      char byte;
      (void)!read(fds[0], &byte, 1);
      _exit(0);
    }
    const absl::Status status = FreezeProcess({}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "has children")) << status;
    close(fds[1]);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    Freeze();
    EXPECT_EQ(content.Checksum(), before);
    EXPECT_TRUE(TrueInChild([&] { return content.Checksum() == before; }));
  });
}

TEST(FreezeLeftTest, NotWithAsynchronousInputAndOutput) {
  unsigned long context = 0;
  if (syscall(SYS_io_setup, 1, &context) != 0) GTEST_SKIP() << "this kernel has no AIO";
  const absl::Status status = FreezeProcess({}).status();
  syscall(SYS_io_destroy, context);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "asynchronous I/O")) << status;
}

TEST(FreezeLeftTest, NotWithIoUring) {
  char parameters[120] = {};
  const auto ring = static_cast<int>(syscall(SYS_io_uring_setup, 1, parameters));
  if (ring < 0) GTEST_SKIP() << "this machine has no io_uring";
  const absl::Status status = FreezeProcess({}).status();
  close(ring);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "io_uring")) << status;
}

TEST(FreezeLeftTest, NotWithAHardLimitOfFileSizesButWithASoftOne) {
  TestInChild([] {
    rlimit limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    Freeze();
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_EQ(limit.rlim_cur, 4096u);
    limit.rlim_max = 1 << 20;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const absl::Status status = FreezeProcess({}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "RLIMIT_FSIZE")) << status;
  });
}

TEST(FreezeLeftTest, LeavesNoDescriptorAndNoSignalBlockedAndTheRseqAreaRegistered) {
  TestInChild([] {
    const auto count = [] {
      int fds = 0;
      for (int fd = 0; fd < 1000; ++fd) fds += fcntl(fd, F_GETFD) >= 0;
      return fds;
    };
    const int before = count();
    Freeze();
    EXPECT_EQ(count(), before);
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, nullptr, &blocked);
    EXPECT_TRUE(sigisemptyset(&blocked));
    if (__rseq_size == 0) return;
    const auto* const area = reinterpret_cast<const volatile struct rseq*>(static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset);
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      if (sched_setaffinity(0, sizeof(one), &one) != 0) continue;  // There is no such processor for us.
      EXPECT_EQ(area->cpu_id, cpu);
    }
  });
}

}  // namespace
}  // namespace brood
