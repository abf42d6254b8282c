// A keeper that reads back what it has become finds out when it has become something else: calls of its own that say that they have
// succeeded, and have done nothing, by a filter that the test puts around it. Nothing of it is in the product.
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "forkserver/slot_child.h"
#include "gtest/gtest.h"

namespace brood::child {
namespace {

constexpr uint32_t kId = 4321;  // Nobody's.

// The call that lies: `number`, where it has this first argument, if one is given.
struct Lie {
  const char* name;
  long number;
  const char* expected;
  std::optional<uint32_t> argument = std::nullopt;
  int error = 0;  // No lie, but a refusal.
};

// SECCOMP_RET_ERRNO with 0 is success without the call. seccomp(2)
bool Inject(const Lie& lie) {
  std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(lie.number), 1, 0),
                                     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  if (lie.argument.has_value()) {
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, *lie.argument, 1, 0));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(lie.error)));
  const sock_fprog program = {static_cast<uint16_t>(filter.size()), filter.data()};
  // Without no_new_privs, of which one of the lies is: root may.
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

// A file as descriptor, with a filter that allows all.
int FilterFile(uint32_t* length) {
  sock_filter filter[kFilterPreludeLength + 1];
  WriteFilterPrelude(SecretCalls::kMessages, filter);
  filter[kFilterPreludeLength] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  *length = kFilterPreludeLength + 1;
  const int file = static_cast<int>(syscall(SYS_memfd_create, "filter", MFD_CLOEXEC));
  return write(file, filter, sizeof(filter)) == static_cast<ssize_t>(sizeof(filter)) ? file : -1;
}

class SlotReadBackTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "becoming another user, and a filter without no_new_privs, take root";
  }

  // What a process of its own is told that enters a slot, with these further descriptors, while that call lies: "entered", or
  // "step: detail".
  std::string Enter(const Lie* lie, std::vector<int> namespaces = {}, std::vector<int> tasks = {}) {
    int report[2];
    EXPECT_EQ(pipe2(report, O_CLOEXEC), 0);
    const pid_t keeper = fork();
    if (keeper == 0) {
      const std::string text = BeKeeper(lie, namespaces, tasks);
      _exit(write(report[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
    }
    close(report[1]);
    char text[512] = {};
    EXPECT_GE(read(report[0], text, sizeof(text) - 1), 0);
    close(report[0]);
    int status = 0;
    EXPECT_EQ(waitpid(keeper, &status, 0), keeper);
    EXPECT_EQ(status, 0);
    return text;
  }

 private:
  static std::string BeKeeper(const Lie* lie, const std::vector<int>& namespaces, const std::vector<int>& tasks) {
    SlotEntry entry;
    entry.id = kId;
    entry.drop_groups = 1;
    entry.read_back = 1;
    entry.namespaces = static_cast<uint32_t>(namespaces.size());
    entry.tasks = static_cast<uint32_t>(tasks.size());
    brood::internal::RawRequest order;
    int init[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, init) != 0) return "socketpair";
    order.fds[order.fd_count++] = FilterFile(&entry.filter_length);
    order.fds[order.fd_count++] = init[0];
    order.fds[order.fd_count++] = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    for (const int fd : namespaces) order.fds[order.fd_count++] = fd;
    for (const int fd : tasks) order.fds[order.fd_count++] = fd;
    order.size = brood::internal::kRawHeaderBytes + sizeof(entry);
    memcpy(order.data + brood::internal::kRawHeaderBytes, &entry, sizeof(entry));
    const gid_t group = kId + 1;
    if (setgroups(1, &group) != 0) return "setgroups";
    // As in a user namespace, from which a keeper has its rights, they stay when the ids change. capabilities(7)
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0) return "PR_SET_SECUREBITS";
    if (lie != nullptr && !Inject(*lie)) return absl::StrCat("seccomp: ", strerror(errno));
    // Not on the stack: it has a page of its own for the secret.
    static KeptSlot slot;
    SetupMessage failure;
    if (slot.Enter(order, &failure)) return "entered";
    return absl::StrCat(failure.step, ": ", failure.detail);
  }
};

constexpr Lie kLies[] = {
    {"User", SYS_setresuid, "the user of the slot"},
    {"Group", SYS_setresgid, "the group of the slot"},
    {"Groups", SYS_setgroups, "no further groups"},
    {"Capabilities", SYS_capset, "no capability"},
    {"BoundingSet", SYS_prctl, "an empty bounding set", PR_CAPBSET_DROP},
    {"NoNewPrivs", SYS_prctl, "no_new_privs", PR_SET_NO_NEW_PRIVS},
};

class SlotLieTest : public SlotReadBackTest, public testing::WithParamInterface<Lie> {};

INSTANTIATE_TEST_SUITE_P(Every, SlotLieTest, testing::ValuesIn(kLies), [](const auto& info) { return info.param.name; });

TEST_P(SlotLieTest, IsReadBackByTheKeeper) {
  EXPECT_EQ(Enter(nullptr), "entered");
  EXPECT_EQ(Enter(&GetParam()), absl::StrCat("read_back: keeper of the slot: expected ", GetParam().expected));
}

TEST_F(SlotReadBackTest, WithoutASessionOfItsOwnItDoesNotEnter) {
  const Lie refusal = {.name = "Session", .number = SYS_setsid, .expected = "", .error = EPERM};
  EXPECT_EQ(Enter(&refusal), "session: setsid");
}

TEST_F(SlotReadBackTest, ANamespaceThatWasNotEnteredIsTold) {
  // Of a process that has made it.
  int ready[2];
  int end[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(end, O_CLOEXEC), 0);
  const pid_t holder = fork();
  if (holder == 0) {
    close(end[1]);
    char byte = unshare(CLONE_NEWUTS) == 0 ? 'y' : 'n';
    if (write(ready[1], &byte, 1) == 1 && read(end[0], &byte, 1) < 0) _exit(1);
    _exit(0);
  }
  char made = 'n';
  ASSERT_EQ(read(ready[0], &made, 1), 1);
  ASSERT_EQ(made, 'y');
  const int names = open(absl::StrCat("/proc/", holder, "/ns/uts").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(names, 0);
  EXPECT_EQ(Enter(nullptr, {names}), "entered");
  const Lie lie = {"Namespace", SYS_setns, ""};
  EXPECT_EQ(Enter(&lie, {names}), "read_back: keeper of the slot: expected the namespaces of the slot");
  close(names);
  close(end[1]);
  EXPECT_EQ(waitpid(holder, nullptr, 0), holder);
}

// A file takes what is written and moves nobody into a group.
TEST_F(SlotReadBackTest, AGroupThatWasNotEnteredIsTold) {
  const int tasks = static_cast<int>(syscall(SYS_memfd_create, "tasks", MFD_CLOEXEC));
  ASSERT_GE(tasks, 0);
  EXPECT_EQ(Enter(nullptr, {}, {tasks}), "read_back: keeper of the slot: expected to be in the groups of the slot");
}

}  // namespace
}  // namespace brood::child
