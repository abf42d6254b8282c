#include "launcher/set_up_faults.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "sandbox/machine.h"
#include "sandbox/plan_speculation.h"

namespace brood {
namespace {

std::string Mounts() {
  std::ifstream file("/proc/self/mountinfo");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

int OpenDescriptors() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

std::vector<std::string> GroupsOf(pid_t owner) {
  const Machine::Cgroups& where = ThisMachine().cgroups;
  std::vector<std::string> found;
  for (const std::string* parent : {&where.unified, &where.memory, &where.pids, &where.cpuacct}) {
    if (parent->empty()) continue;
    for (const auto& entry : std::filesystem::directory_iterator(*parent)) {
      if (absl::StrContains(entry.path().string(), absl::StrCat("brood-child-", owner, "-"))) found.push_back(entry.path());
    }
  }
  return found;
}

}  // namespace

std::string TextOf(const Outcome& outcome) {
  const auto* failed = std::get_if<SetupFailed>(&outcome.ending);
  return failed == nullptr ? outcome.ToString() : absl::StrCat(failed->step, "|", failed->error_number, "|", failed->detail);
}

std::string LaunchInItsOwn(const LaunchOptions& options) {
  absl::StatusOr<Process> process = Process::Launch(options);
  if (!process.ok()) return absl::StrCat("not launched: ", process.status().message());
  const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(10));
  return outcome.ok() ? TextOf(*outcome) : outcome.status().ToString();
}

bool Inject(const Fault& fault) {
  std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(fault.number), 1, 0),
                                     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  if (fault.argument >= 0) {
    const auto offset = static_cast<uint32_t>(offsetof(seccomp_data, args) + static_cast<size_t>(fault.argument) * 8);
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
    filter.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, fault.mask));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, fault.value, static_cast<uint8_t>(fault.differs ? 0 : 1),
                              static_cast<uint8_t>(fault.differs ? 1 : 0)));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(fault.error)));
  const sock_fprog program = {static_cast<uint16_t>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

CpuSet OwnCpus() {
  cpu_set_t own;
  sched_getaffinity(0, sizeof(own), &own);
  CpuSet cpus;
  for (size_t cpu = 0; cpu < cpus.size() && cpu < CPU_SETSIZE; ++cpu) cpus[cpu] = CPU_ISSET(cpu, &own);
  return cpus;
}

// One that allows all.
void WantFurtherFilter(Policy& policy, const std::string& directory) {
  const sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  policy.bpf_files.push_back({.path = directory + "/some.bpf", .program = std::string(reinterpret_cast<const char*>(&allow), sizeof(allow))});
}

std::string LacksFor(const Fault& fault) {
  const std::string_view name = fault.name, step = fault.step;
  const Machine& machine = ThisMachine();
  if (step == "landlock" && machine.landlock_abi <= 1) return "needs Landlock";
  if (name == "IdMaps" && !machine.can_map_any_id) return "needs an ownerless id, by whose length the call is told";
  if (name == "ChosenGroups" && !(machine.can_drop_groups && machine.can_map_any_id)) return "needs the right to choose groups";
  if (name == "Groups" && !machine.can_drop_groups) return "needs the right to drop groups";
  if (step == "cgroup" && machine.cgroups.pids.empty()) return "needs cgroups of version 1";
  if (step == "attributes" && prctl(kSetMdwe + 1, 0, 0, 0, 0) < 0) return "needs PR_SET_MDWE, Linux 6.3";
  if (step == "speculation" && PlanSpeculation(AskSpeculation()).off == 0) return "this machine has no control; speculation_test has a stand-in";
  return "";
}

void SetUpFailureTest::SetUp() {
  char pattern[] = "/tmp/brood-test-XXXXXX";
  ASSERT_NE(mkdtemp(pattern), nullptr);
  directory_ = pattern;
  std::ofstream(directory_ + "/file") << std::string(kCopiedBytes, 'x');
  policy_ = BuiltinPolicy("strict").value();
}

void SetUpFailureTest::TearDown() { std::filesystem::remove_all(directory_); }

std::string SetUpFailureTest::Launch(const Fault& fault, Harm harm, const std::vector<std::string>& argv, const Launcher& by) {
  const absl::StatusOr<std::shared_ptr<const CompiledPolicy>> compiled = CompilePolicy(policy_);
  EXPECT_TRUE(compiled.ok()) << compiled.status();
  if (!compiled.ok()) return "";
  int report[2];
  EXPECT_EQ(pipe2(report, O_CLOEXEC), 0);
  const pid_t launcher = fork();
  if (launcher == 0) {
    close(report[0]);
    LaunchOptions options;
    options.argv = argv;
    options.policy = *compiled;
    options.stdin_spec = options.stdout_spec = options.stderr_spec = Stdio::Null();
    if (fault.asks != nullptr) fault.asks(options, directory_ + "/file");
    if (harm == Harm::kDone && fault.fails != nullptr) fault.fails(options, directory_ + "/file");
    if (harm == Harm::kDone && fault.number >= 0 && !Inject(fault)) _exit(3);
    const int before = OpenDescriptors();
    std::string text = by(options);
    if (OpenDescriptors() != before) absl::StrAppend(&text, "\nleft descriptors open");
    int status = 0;
    if (waitpid(-1, &status, WNOHANG | __WALL) != -1 || errno != ECHILD) absl::StrAppend(&text, "\nleft a child");
    if (write(report[1], text.data(), text.size()) < 0) _exit(4);
    _exit(0);
  }
  close(report[1]);
  std::string text;
  char buffer[1024];
  for (ssize_t n; (n = read(report[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(report[0]);
  int status = 0;
  EXPECT_EQ(waitpid(launcher, &status, 0), launcher);
  EXPECT_EQ(status, 0);
  for (const std::string& group : GroupsOf(launcher)) absl::StrAppend(&text, "\nleft ", group);
  return text;
}

void SetUpFailureTest::ExpectEndsTheLaunch(const Fault& fault, const std::string& expects, const Launcher& by) {
  if (const std::string lacks = LacksFor(fault); !lacks.empty()) GTEST_SKIP() << lacks;
  policy_ = BuiltinPolicy(fault.policy).value();
  policy_.files.push_back({.source = directory_, .destination = directory_, .access = FileRule::Access::kReadWrite});
  if (fault.wants != nullptr) fault.wants(policy_, directory_);
  const std::vector<std::string> argv = {"sh", "-c", absl::StrCat("echo ran > ", directory_, "/ran")};
  const std::string mounts = Mounts();
  ASSERT_EQ(Launch(fault, Harm::kNone, argv, by), "exited with code 0");
  ASSERT_TRUE(std::filesystem::remove(directory_ + "/ran"));
  const std::string told = Launch(fault, Harm::kDone, argv, by);
  EXPECT_TRUE(absl::StartsWith(told, expects)) << told;
  EXPECT_FALSE(absl::StrContains(told, "\nleft")) << told;
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/ran"));
  EXPECT_EQ(Mounts(), mounts);
}

}  // namespace brood
