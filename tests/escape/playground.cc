#include "tests/escape/playground.h"

#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "cli/runfiles.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kNobody = 65534;

std::string g_attack;
std::string g_brood;

bool Failed(const char* what) {
  std::perror(what);
  return false;
}

bool LoopbackUp() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = {};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  close(fd);
  return up || Failed("bring the loopback interface up");
}

// The build's own directories may be root's alone, and /tmp is about to be hidden: the programs are held by descriptors.
bool CopyFrom(int source, const std::string& to) {
  const int fd = open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (fd < 0) return Failed(to.c_str());
  char buffer[1 << 16];
  ssize_t count;
  while ((count = read(source, buffer, sizeof(buffer))) > 0) {
    if (write(fd, buffer, static_cast<size_t>(count)) != count) return Failed(to.c_str());
  }
  close(fd);
  return count == 0 && chmod(to.c_str(), 0755) == 0;
}

bool FreshDirectories() {
  const int attack = open(g_attack.c_str(), O_RDONLY | O_CLOEXEC);
  const int brood = open(g_brood.c_str(), O_RDONLY | O_CLOEXEC);
  if (attack < 0 || brood < 0) return Failed("open the programs");
  for (const char* directory : {"/tmp", "/var/tmp", "/dev/shm"}) {
    if (mount("tmpfs", directory, "tmpfs", 0, "mode=1777") != 0) return Failed(directory);
  }
  g_attack = "/tmp/programs/attack";
  g_brood = "/tmp/programs/brood";
  if (mkdir("/tmp/programs", 0755) != 0 || chmod("/tmp/programs", 0755) != 0) return Failed("/tmp/programs");
  const bool copied = CopyFrom(attack, g_attack) && CopyFrom(brood, g_brood);
  close(attack);
  close(brood);
  return copied;
}

bool BecomeNobody() {
  if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
      setresuid(kNobody, kNobody, kNobody) != 0) {
    return Failed("become nobody");
  }
  setenv("HOME", "/tmp", 1);
  // A change of ids clears it, and then nobody but root could look into us. prctl(2), PR_SET_DUMPABLE.
  return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && chdir("/") == 0;
}

// Where Bazel wants the report and the sign that we take part in sharding may be root's alone.
constexpr char kReport[] = "/tmp/report.xml";

int TakeReportAway() {
  if (const char* sign = getenv("TEST_SHARD_STATUS_FILE"); sign != nullptr) {
    close(open(sign, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    unsetenv("TEST_SHARD_STATUS_FILE");
  }
  unsetenv("TEST_PREMATURE_EXIT_FILE");
  const char* report = getenv("XML_OUTPUT_FILE");
  if (report == nullptr) return -1;
  const int fd = open(report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  setenv("XML_OUTPUT_FILE", kReport, 1);
  return fd;
}

void BringReportBack(int to) {
  std::ifstream file(kReport, std::ios::binary);
  const std::string report((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (to >= 0 && write(to, report.data(), report.size()) < 0) std::perror("write the report");
}

int WaitFor(pid_t pid) {
  int status = 0;
  for (;;) {
    // As init: all others end here, too.
    const pid_t ended = waitpid(-1, &status, 0);
    if (ended == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (ended < 0 && errno != EINTR) return 1;
  }
}

}  // namespace

int InPlayground(bool as_nobody, const std::function<int()>& body) {
  g_attack = fs::canonical(RunfilesDirectory("tests/escape/bin").value() + "/attack").string();
  g_brood = fs::canonical(RunfilesDirectory("cli").value() + "/brood").string();
  // What an attack leaves running becomes ours, so that it can be reaped.
  if (geteuid() != 0) return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? body() : 1;
  if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET) != 0) {
    std::perror("enter private namespaces");
    return 1;
  }
  const pid_t init = fork();
  if (init == 0) {
    // Its end is that of all processes in here. pid_namespaces(7).
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("proc", "/proc", "proc", 0, nullptr) != 0) {
      std::perror("mount a /proc of its own");
      _exit(1);
    }
    if (!LoopbackUp() || !FreshDirectories()) _exit(1);
    const int report = as_nobody ? TakeReportAway() : -1;
    const pid_t tests = fork();
    if (tests == 0) {
      if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 || (as_nobody && !BecomeNobody())) exit(1);
      exit(body());
    }
    const int code = tests < 0 ? 1 : WaitFor(tests);
    BringReportBack(report);
    _exit(code);
  }
  return init < 0 ? 1 : WaitFor(init);
}

int TestsInPlayground(int argc, char** argv) {
  bool as_nobody = false;
  for (int i = 1; i < argc; ++i) as_nobody |= std::string_view(argv[i]) == "--as-nobody";
  return InPlayground(as_nobody, [&] {
    // gtest has looked at it before the playground changed it.
    if (const char* report = getenv("XML_OUTPUT_FILE"); report != nullptr) {
      GTEST_FLAG_SET(output, absl::StrCat("xml:", report));
    }
    // Within, since the attacks are asked for their names when the tests are made.
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
  });
}

std::string AttackProgram() { return g_attack; }
std::string BroodProgram() { return g_brood; }

}  // namespace brood
