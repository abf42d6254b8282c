// Hostile programs in the built-in sandboxes: what they try must fail, be seen by brood, and have no effect outside.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

class EscapeTest : public testing::TestWithParam<std::string> {
 protected:
  static bool Strict() { return GetParam() == "strict"; }

  // In strict the call is a violation; in default it may also be refused with an errno.
  static void ExpectStopped(const std::vector<std::string>& argv, const std::string& syscall) {
    const Ended run = RunProgram(GetParam(), argv);
    EXPECT_FALSE(SaysItWorked(run)) << run.Text();
    if (Strict()) {
      EXPECT_EQ(ViolationOf(run), syscall) << run.Text();
    } else if (ViolationOf(run).empty()) {
      EXPECT_EQ(run.outcome.exit_code(), 1) << run.Text();
      EXPECT_TRUE(absl::StrContains(run.out, "refused: ")) << run.Text();
    }
  }

  // In both the call is an attack on the kernel surface.
  static void ExpectViolation(const std::vector<std::string>& argv, const std::string& syscall) {
    const Ended run = RunProgram(GetParam(), argv);
    EXPECT_FALSE(SaysItWorked(run)) << run.Text();
    EXPECT_EQ(ViolationOf(run), syscall) << run.Text();
  }

  // What is refused by the file system, not by the filter.
  static void ExpectRefused(const std::vector<std::string>& argv, const Tweaks& tweaks = {}) {
    const Ended run = RunProgram(GetParam(), argv, tweaks);
    EXPECT_EQ(run.outcome.exit_code(), 1) << run.Text();
    EXPECT_FALSE(SaysItWorked(run)) << run.Text();
    EXPECT_TRUE(absl::StrContains(run.out, "refused: ")) << run.Text();
  }
};

INSTANTIATE_TEST_SUITE_P(Policies, EscapeTest, testing::Values("strict", "default"),
                         [](const auto& param) { return param.param; });

TEST_P(EscapeTest, TheAttackThatTestsRelyOnWorksWithoutASandbox) {
  const Ended run = RunProgram("none", {"int80_call"});
  // A kernel without the i386 ABI refuses by itself.
  EXPECT_TRUE(SaysItWorked(run) || absl::StrContains(run.out, "refused: ")) << run.Text();
  EXPECT_TRUE(SaysItWorked(RunProgram("none", {"fork_bomb", "3"})));
}

TEST_P(EscapeTest, HostLoopbackIsNotReachable) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 4), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = absl::StrCat(ntohs(address.sin_port));

  EXPECT_TRUE(SaysItWorked(RunProgram("none", {"connects_out", port})));
  pollfd ready = {.fd = listener.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&ready, 1, 0), 1);
  close(accept(listener.get(), nullptr, nullptr));

  const Ended run = RunProgram(GetParam(), {"connects_out", port, "elsewhere"});
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  if (Strict()) {
    EXPECT_EQ(ViolationOf(run), "socket") << run.Text();
  }
  EXPECT_EQ(poll(&ready, 1, 0), 0) << "the listener has a connection";
}

TEST_P(EscapeTest, AbstractSocketsOfTheHostAreNotReachable) {
  const std::string name = absl::StrCat("brood-e2e-", getpid(), GetParam());
  const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 4), 0);
  EXPECT_TRUE(SaysItWorked(RunProgram("none", {"connects_unix", name})));
  ExpectRefused({"connects_unix", name});
}

TEST(NetworkedEscapeTest, AbstractSocketsOfTheHostAreNotReachable) {
  const std::string name = absl::StrCat("brood-e2e-networked-", getpid());
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const UniqueFd datagrams(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(datagrams.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_TRUE(SaysItWorked(RunProgram("none", {"sends_to_abstract", name})));
  for (const char* program : {"sends_to_abstract", "connects_unix"}) {
    const Ended run = RunProgram("networked", {program, name});
    EXPECT_FALSE(SaysItWorked(run)) << program << run.Text();
    EXPECT_TRUE(absl::StrContains(run.out, "refused: ")) << program << run.Text();
  }
}

TEST_P(EscapeTest, FilesOutsideAreNotWritten) {
  TemporaryDirectory hidden;
  TemporaryDirectory shown;
  const std::string a = hidden.path() + "/file";
  const std::string b = shown.path() + "/file";
  ExpectRefused({"writes_outside", a, b, "/usr/brood-e2e-was-here", "/etc/brood-e2e-was-here"},
                {.policy = [&](Policy& policy) {
                  policy.files.push_back({.source = shown.path(), .destination = shown.path()});
                }});
  for (const std::string& path :
       {a, b, std::string("/usr/brood-e2e-was-here"), std::string("/etc/brood-e2e-was-here")}) {
    EXPECT_FALSE(std::filesystem::exists(path)) << path;
  }
}

TEST_P(EscapeTest, ShadowAndRootsHomeAreNotReadable) {
  ExpectRefused({"reads_shadow"});
  ExpectRefused({"lists_root_home"});
}

TEST_P(EscapeTest, FilesThatOnlyTheCallerMayReadStayUnreadableToRootsChild) {
  if (!IsRoot()) GTEST_SKIP() << "needs a file of another user";
  TemporaryDirectory shown;
  const std::string path = shown.path() + "/secret";
  close(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(truncate(path.c_str(), 1), 0);
  // Of root's own, where everybody may look into the directory, and of somebody else's: no rights follow from an id.
  for (const uid_t owner : {0u, 12345u}) {
    ASSERT_EQ(chown(path.c_str(), owner, owner), 0);
    ExpectRefused({"reads_shadow", path}, {.policy = [&](Policy& policy) {
                    policy.files.push_back({.source = shown.path(), .destination = shown.path()});
                  }});
  }
}

TEST_P(EscapeTest, OutsidersAreNeitherSeenNorKilledNorRead) {
  absl::StatusOr<Process> outsider = StartProgram("none", {"sleeps_forever"});
  ASSERT_TRUE(outsider.ok()) << outsider.status();
  ASSERT_TRUE(WaitFor([&] { return outsider->pid() != 0 || !outsider->IsAlive(); }));
  const std::string pid = absl::StrCat(outsider->pid());
  EXPECT_TRUE(SaysItWorked(RunProgram("none", {"sees_outsider", pid})));
  ExpectRefused({"sees_outsider", pid});
  ExpectStopped({"ptraces_parent", pid}, "ptrace");
  ExpectStopped({"reads_memory_of_parent", pid}, "process_vm_readv");
  const Ended run = RunProgram(GetParam(), {"kills_outsider", pid});
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  EXPECT_TRUE(outsider->IsAlive());
}

TEST_P(EscapeTest, NothingIsGainedBySetuid) {
  ExpectStopped({"gains_setuid"}, "setresuid");
  if (!IsRoot()) return;
  // A setuid program in a directory that is shown.
  TemporaryDirectory shown;
  const std::string path = shown.path() + "/prints_ids";
  std::filesystem::copy_file(ProgramPath("prints_ids"), path);
  ASSERT_EQ(chmod(path.c_str(), 04755), 0);
  const Ended gained = RunProgram(GetParam(), {"execs", path}, {.policy = [&](Policy& policy) {
                                    policy.files.push_back({.source = shown.path(), .destination = shown.path()});
                                  }});
  EXPECT_TRUE(gained.outcome.ok()) << gained.Text();
  EXPECT_TRUE(absl::StartsWith(gained.out, "uid 1000 euid 1000 gid 1000 egid 1000\n")) << gained.Text();
  EXPECT_TRUE(absl::StrContains(gained.out, "NoNewPrivs:\t1")) << gained.Text();
}

TEST_P(EscapeTest, NoSetIdFileIsLeftOnTheHost) {
  TemporaryDirectory lent;
  const auto writable = [&](Policy& policy) {
    policy.files.push_back(
        {.source = lent.path(), .destination = lent.path(), .access = FileRule::Access::kReadWrite});
  };
  ExpectRefused({"gives_set_id", lent.path()}, {.policy = writable});
  for (const auto& entry : std::filesystem::directory_iterator(lent.path())) {
    struct stat status;
    ASSERT_EQ(lstat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 06000u, 0u) << entry.path();
  }
}

TEST_P(EscapeTest, ADirectoryAsStdinIsNoWayOut) {
  const UniqueFd directory(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const absl::StatusOr<Process> process = StartProgram(
      GetParam(), {"leaves_by_stdin"},
      {.options = [&](LaunchOptions& options) { options.stdin_spec = Stdio::Fd(directory.get()); }});
  EXPECT_EQ(process.status().code(), absl::StatusCode::kInvalidArgument) << process.status();
  // Nothing is hidden in `none`, so nothing is lost.
  EXPECT_TRUE(StartProgram("none", {"leaves_by_stdin"}, {.options = [&](LaunchOptions& options) {
                             options.stdin_spec = Stdio::Fd(directory.get());
                           }}).ok());
}

// A file that everybody may write, so that the child may too, whoever the caller is.
class GivenFile {
 public:
  GivenFile() {
    std::ofstream(path()) << "given\n";
    EXPECT_EQ(chmod(path().c_str(), 0666), 0);
  }
  std::string path() const { return directory_.path() + "/given"; }
  UniqueFd Open() const { return UniqueFd(open(path().c_str(), O_RDONLY | O_CLOEXEC)); }
  void ExpectUntouched() const {
    EXPECT_EQ(Content(Open()), "given\n");
    struct stat status;
    ASSERT_EQ(stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777u, 0666u);
  }

 private:
  TemporaryDirectory directory_;
};

TEST_P(EscapeTest, AFileForReadingIsNotOpenedAgainForWriting) {
  const GivenFile file;
  const UniqueFd fd = file.Open();
  const UniqueFd path_only(open(file.path().c_str(), O_PATH | O_CLOEXEC));
  const std::function<void(LaunchOptions&)> ways[] = {
      [&](LaunchOptions& options) { options.stdin_spec = Stdio::Path(file.path()); },
      [&](LaunchOptions& options) { options.stdin_spec = Stdio::Fd(fd.get()); },
      [&](LaunchOptions& options) { options.inherited.push_back({.fd = fd.get(), .child_fd = 3}); },
      [&](LaunchOptions& options) { options.inherited.push_back({.fd = path_only.get(), .child_fd = 3}); },
  };
  for (size_t i = 0; i < std::size(ways); ++i) {
    SCOPED_TRACE(absl::StrCat("way ", i));
    ExpectRefused({"reopens_descriptor", i < 2 ? "0" : "3"}, {.options = ways[i]});
    file.ExpectUntouched();
  }
}

TEST_P(EscapeTest, AFileForReadingKeepsItsOffsetAndFlags) {
  const GivenFile file;
  const UniqueFd fd = file.Open();
  ASSERT_EQ(lseek(fd.get(), 2, SEEK_SET), 2);
  ASSERT_EQ(fcntl(fd.get(), F_SETFL, O_NONBLOCK), 0);
  const Ended run = RunProgram("default", {"does_nothing"}, {.options = [&](LaunchOptions& options) {
                                 options.argv = {"sh", "-c", "cat /proc/self/fdinfo/0; cat"};
                                 options.stdin_spec = Stdio::Fd(fd.get());
                               }});
  EXPECT_TRUE(absl::StrContains(run.out, "pos:\t2\nflags:\t0104000\n")) << run.Text();
  EXPECT_TRUE(absl::EndsWith(run.out, "\nven\n")) << run.Text();
}

TEST_P(EscapeTest, AFileForReadingThatCannotBeProtectedIsRefused) {
  const GivenFile file;
  const UniqueFd fd = file.Open();
  ASSERT_EQ(unlink(file.path().c_str()), 0);
  const absl::StatusOr<Process> process =
      StartProgram(GetParam(), {"reopens_descriptor", "0"},
                   {.options = [&](LaunchOptions& options) { options.stdin_spec = Stdio::Fd(fd.get()); }});
  EXPECT_EQ(process.status().code(), absl::StatusCode::kFailedPrecondition) << process.status();
  EXPECT_TRUE(absl::StrContains(process.status().message(), "stdin: ")) << process.status();
}

TEST_P(EscapeTest, MountsAreRefused) {
  ExpectViolation({"mounts_tmpfs"}, "mount");
  ExpectViolation({"remounts_root"}, "mount");
  ExpectStopped({"chroots"}, "chroot");
}

TEST_P(EscapeTest, NamespacesAreRefused) {
  ExpectViolation({"unshares_user"}, "unshare");
  // Its flags are in memory, where a filter can't see them; libc falls back on clone.
  const Ended run = RunProgram(GetParam(), {"clones_user"});
  EXPECT_EQ(run.outcome.exit_code(), 1) << run.Text();
  EXPECT_TRUE(absl::StrContains(run.out, "Function not implemented")) << run.Text();
}

TEST_P(EscapeTest, TheKernelSurfaceIsClosed) {
  ExpectRefused({"opens_io_uring"});
  ExpectStopped({"opens_userfaultfd"}, "userfaultfd");
  ExpectStopped({"opens_perf"}, "perf_event_open");
  ExpectStopped({"adds_key"}, "add_key");
  ExpectStopped({"creates_bpf_map"}, "bpf");
  ExpectStopped({"opens_by_handle"}, "open_by_handle_at");
  ExpectStopped({"opens_netlink"}, "socket");
  ExpectStopped({"opens_vsock"}, "socket");
  ExpectStopped({"disables_aslr"}, "personality");
}

TEST_P(EscapeTest, ForeignAbisAreRefused) {
  const Ended i386 = RunProgram(GetParam(), {"int80_call"});
  EXPECT_FALSE(SaysItWorked(i386)) << i386.Text();
  const auto* violation = std::get_if<Violation>(&i386.outcome.ending);
  ASSERT_NE(violation, nullptr) << i386.Text();
  EXPECT_EQ(violation->arch, "x86");
  EXPECT_EQ(violation->number, 20);

  const Ended x32 = RunProgram(GetParam(), {"x32_call"});
  EXPECT_FALSE(SaysItWorked(x32)) << x32.Text();
}

TEST_P(EscapeTest, UnknownSystemCallsAreNotImplemented) {
  const Ended run = RunProgram(GetParam(), {"calls_unknown"});
  EXPECT_TRUE(absl::StrContains(run.out, "Function not implemented")) << run.Text();
}

TEST_P(EscapeTest, ProgramsGoOnWithoutTheFeaturesThatTheyTry) {
  const Ended run = RunProgram(GetParam(), {"tries_features"});
  EXPECT_EQ(run.outcome.exit_code(), 0) << run.Text();
  EXPECT_TRUE(absl::StrContains(run.out, "refused: io_uring_setup: Function not implemented")) << run.Text();
  if (!Strict()) return;
  EXPECT_FALSE(SaysItWorked(run)) << run.Text();
  EXPECT_TRUE(absl::StrContains(run.out, "refused: landlock_create_ruleset: Function not implemented")) << run.Text();
}

TEST_P(EscapeTest, SettingsOfTheKernelAreNotWritable) {
  ExpectRefused({"opens_core_pattern"});
  ExpectRefused({"writes_sysfs"});
}

TEST_P(EscapeTest, OwnLimitsAreNotRaised) {
  ExpectRefused({"raises_limits"}, {.policy = [](Policy& policy) { policy.limits.core_bytes = 0; }});
}

}  // namespace
}  // namespace brood
