// What one child of a slot leaves is not there for the next.
#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <variant>

#include "bootstrap/exit.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/process.h"
#include "launcher/slot_testing.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

// --- what could be left: targets, and those that look for it ---

// The times of a folder that nobody has touched are those of its making, all the same.
ExitCode TmpIsAsMade() {
  struct stat about = {};
  if (stat("/tmp", &about) != 0 || (about.st_mode & 07777) != 01777) return {1};
  return {about.st_mtim.tv_sec == about.st_ctim.tv_sec && about.st_mtim.tv_nsec == about.st_ctim.tv_nsec ? 0 : 2};
}
BROOD_TARGET(TmpIsAsMade);

void WriteAndRemove() {
  WriteTmp();
  unlink("/tmp/left");
  const timespec times[2] = {{1, 0}, {1, 0}};
  utimensat(AT_FDCWD, "/tmp", times, 0);
}
BROOD_TARGET(WriteAndRemove);

void CloseTmp() { chmod("/tmp", 0700); }
BROOD_TARGET(CloseTmp);

// Where the file system has none, nothing is left either.
void SetAttribute() { setxattr("/tmp", "user.left", "x", 1, 0); }
BROOD_TARGET(SetAttribute);
ExitCode HasNoAttribute() { return {listxattr("/tmp", nullptr, 0) > 0 ? 1 : 0}; }
BROOD_TARGET(HasNoAttribute);

ExitCode MakeShared() { return {shmget(7, 4096, IPC_CREAT | 0600) >= 0 ? 0 : 1}; }
BROOD_TARGET(MakeShared);
ExitCode MakeSemaphore() { return {semget(7, 1, IPC_CREAT | 0600) >= 0 ? 0 : 1}; }
BROOD_TARGET(MakeSemaphore);
ExitCode MakeQueue() { return {msgget(7, IPC_CREAT | 0600) >= 0 ? 0 : 1}; }
BROOD_TARGET(MakeQueue);
ExitCode MakeAndRemove() {
  const int id = semget(7, 1, IPC_CREAT | 0600);
  return {id >= 0 && semctl(id, 0, IPC_RMID) == 0 ? 0 : 1};
}
BROOD_TARGET(MakeAndRemove);

// None by the names above, nor more made before us than by our keeper, which makes one object for each child.
ExitCode FindsNoIpc() {
  if (shmget(7, 1, 0600) >= 0 || semget(7, 1, 0600) >= 0 || msgget(7, 0600) >= 0) return {1};
  if (mq_open("/left", O_RDONLY) >= 0) return {2};
  return {0};
}
BROOD_TARGET(FindsNoIpc);

ExitCode Connect() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 1) != 0) return {1};
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return {connect(client, reinterpret_cast<sockaddr*>(&address), size) == 0 ? 0 : 2};
}
BROOD_TARGET(Connect);

// By the interface's counters, and by connections that are not forgotten yet.
ExitCode FindsNoTraffic() {
  std::ifstream device("/proc/self/net/dev");
  for (std::string line; std::getline(device, line);) {
    const size_t at = line.find("lo:");
    if (at == std::string::npos) continue;
    if (strtoll(line.c_str() + at + 3, nullptr, 10) != 0) return {1};
  }
  std::ifstream connections("/proc/self/net/tcp");
  std::string line;
  std::getline(connections, line);
  return {std::getline(connections, line) ? 2 : 0};
}
BROOD_TARGET(FindsNoTraffic);

void WriteShm() { std::ofstream("/dev/shm/left") << "a secret"; }
BROOD_TARGET(WriteShm);
ExitCode ShmIsEmpty() { return {access("/dev/shm/left", F_OK) == 0 ? 1 : 0}; }
BROOD_TARGET(ShmIsEmpty);

// Of a directory that was made in memory for what is mounted, or asked for, in it.
ExitCode Mark(const char* folder) { return {chmod(folder, 0700) == 0 ? 0 : 1}; }
ExitCode IsUnmarked(const char* folder) {
  struct stat about = {};
  return {stat(folder, &about) == 0 && (about.st_mode & 07777) == 0755 ? 0 : 1};
}
ExitCode MarkAbove() { return Mark("/room/above"); }
BROOD_TARGET(MarkAbove);
ExitCode AboveIsUnmarked() { return IsUnmarked("/room/above"); }
BROOD_TARGET(AboveIsUnmarked);
ExitCode MarkBehind() { return Mark("/room/behind"); }
BROOD_TARGET(MarkBehind);
ExitCode BehindIsUnmarked() { return IsUnmarked("/room/behind"); }
BROOD_TARGET(BehindIsUnmarked);
ExitCode MarkAsked() { return Mark("/room/asked"); }
BROOD_TARGET(MarkAsked);
ExitCode AskedIsUnmarked() { return IsUnmarked("/room/asked"); }
BROOD_TARGET(AskedIsUnmarked);

// What one child leaves and the next one looks for, by the policy that allows it.
struct Leak {
  const char* name;
  const char* leaves;
  const char* finds;  // Exit code 0 if there is nothing.
};

class SlotLeakTest : public SlotTest, public testing::WithParamInterface<Leak> {};

TEST_P(SlotLeakTest, IsNotThereForTheNextChild) {
  const absl::StatusOr<Policy> policy = BuiltinPolicy("default");
  ASSERT_TRUE(policy.ok());
  Start(*policy);
  const Outcome before = Call(GetParam().finds);
  ASSERT_EQ(before.exit_code(), 0) << before.ToString();
  for (int i = 0; i < 3; ++i) {
    const Outcome left = Call(GetParam().leaves);
    ASSERT_EQ(left.exit_code(), 0) << left.ToString();
    const Outcome found = Call(GetParam().finds);
    EXPECT_EQ(found.exit_code(), 0) << found.ToString();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, SlotLeakTest,
    testing::Values(Leak{"File", "WriteTmp", "TmpIsEmpty"}, Leak{"RemovedFile", "WriteAndRemove", "TmpIsAsMade"},
                    Leak{"Attribute", "SetAttribute", "HasNoAttribute"}, Leak{"Mode", "CloseTmp", "TmpIsAsMade"},
                    Leak{"SharedMemory", "MakeShared", "FindsNoIpc"}, Leak{"Semaphore", "MakeSemaphore", "FindsNoIpc"},
                    Leak{"Queue", "MakeQueue", "FindsNoIpc"}, Leak{"RemovedSemaphore", "MakeAndRemove", "FindsNoIpc"},
                    Leak{"PosixQueue", "MakePosixQueue", "FindsNoIpc"}, Leak{"Connection", "Connect", "FindsNoTraffic"},
                    Leak{"Process", "LeaveDaemons", "OthersAreThere"}, Leak{"SharedFile", "WriteShm", "ShmIsEmpty"}),
    [](const testing::TestParamInfo<Leak>& info) { return info.param.name; });

class MadeInMemoryTest : public SlotTest, public testing::WithParamInterface<Leak> {};

TEST_P(MadeInMemoryTest, IsForTheNextChildAsItWasMade) {
  Policy policy = BuiltinPolicy("default").value();
  policy.files.push_back({.kind = FileRule::Kind::kTmpfs, .destination = "/room", .access = FileRule::Access::kReadWrite});
  policy.files.push_back({.source = "/usr/share", .destination = "/room/above/shown"});
  policy.files.push_back({.kind = FileRule::Kind::kSymlink, .destination = "/door", .text = "/room"});
  policy.files.push_back({.source = "/usr/share", .destination = "/door/behind/shown"});
  policy.files.push_back({.kind = FileRule::Kind::kDirectory, .destination = "/room/asked"});
  Start(policy);
  for (int i = 0; i < 3; ++i) {
    const Outcome left = Call(GetParam().leaves);
    ASSERT_EQ(left.exit_code(), 0) << left.ToString();
    const Outcome found = Call(GetParam().finds);
    EXPECT_EQ(found.exit_code(), 0) << found.ToString();
  }
}

INSTANTIATE_TEST_SUITE_P(All, MadeInMemoryTest,
                         testing::Values(Leak{"AboveAMount", "MarkAbove", "AboveIsUnmarked"}, Leak{"BehindALink", "MarkBehind", "BehindIsUnmarked"},
                                         Leak{"AskedFor", "MarkAsked", "AskedIsUnmarked"}),
                         [](const testing::TestParamInfo<Leak>& info) { return info.param.name; });

// Files and links there are looked at by nobody, /etc/passwd among them where /etc is in memory.
TEST_F(SlotTest, AFileOrALinkInMemoryIsInNoSandboxThatIsKept) {
  const auto error = [](FileRule rule) {
    Policy policy = BuiltinPolicy("default").value();
    policy.files.push_back(std::move(rule));
    const auto plan = CompilePolicy(policy);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return std::string(Server::Start({}, *plan).status().message());
  };
  EXPECT_TRUE(absl::StrContains(error({.kind = FileRule::Kind::kTmpfs, .destination = "/etc"}), " is made in memory, where a child can change it"));
  EXPECT_TRUE(absl::StrContains(error({.kind = FileRule::Kind::kFile, .destination = "/tmp/file", .text = "x"}), "/tmp/file is made in memory"));
  EXPECT_TRUE(absl::StrContains(error({.kind = FileRule::Kind::kSymlink, .destination = "/tmp/link", .text = "x"}), "/tmp/link is made in memory"));
  EXPECT_TRUE(absl::StrContains(error({.kind = FileRule::Kind::kDirectory, .destination = "/tmp/closed", .mode = 0300}), "with a mode by which it cannot be looked at"));
  EXPECT_EQ(error({.kind = FileRule::Kind::kSymlink, .destination = "/link", .text = "x"}), "");
}

}  // namespace
}  // namespace brood
