// What a report of a violation says of the arguments, from the memory of a child whose call waits.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <variant>
#include <vector>

#include "bootstrap/bootstrap.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

using Words = std::vector<std::string>;

void MountsSomething() { mount("/dev/sda\n1", "/mnt", "ext4", MS_RDONLY | MS_NOSUID, "opt=1"); }
BROOD_TARGET(MountsSomething);

void ConnectsSomewhere() {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(443);
  address.sin_addr.s_addr = htonl(0x0a000005);
  syscall(SYS_connect, 3, &address, sizeof(address));
}
BROOD_TARGET(ConnectsSomewhere);

// Text that ends where its page ends and the next is not there, of which the end cannot be seen; and no memory at all.
void GivesBadPointers() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  char* const two = static_cast<char*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(two + page, page);
  memcpy(two + page - 4, "/mnt", 4);
  syscall(SYS_mount, two + page - 4, 8, ~0ul, 0, 0);
}
BROOD_TARGET(GivesBadPointers);

void NamesALongPath() { syscall(SYS_chroot, std::string(4000, 'x').c_str()); }
BROOD_TARGET(NamesALongPath);

class ViolationTextsTest : public testing::TestWithParam<StartMethod> {
 protected:
  Violation ViolationOf(void (*target)()) {
    const Context context(GetParam());
    LaunchOptions options;
    options.policy = CompilePolicy(BuiltinPolicy("strict").value()).value();
    absl::StatusOr<Process> process = context.Start(options, target);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return {};
    const Outcome outcome = process->Join(absl::Seconds(30)).value();
    const auto* violation = std::get_if<Violation>(&outcome.ending);
    EXPECT_NE(violation, nullptr) << outcome.ToString();
    return violation != nullptr ? *violation : Violation{};
  }
};

TEST_P(ViolationTextsTest, PathsAndFlagsOfAMount) {
  const Violation violation = ViolationOf(MountsSomething);
  EXPECT_EQ(violation.decoded, (Words{R"("/dev/sda\n1")", "\"/mnt\"", "\"ext4\"", "MS_RDONLY|MS_NOSUID", "\"opt=1\""}));
}

TEST_P(ViolationTextsTest, TheAddressOfAConnection) {
  EXPECT_EQ(ViolationOf(ConnectsSomewhere).decoded, (Words{"3", "10.0.0.5:443", "16"}));
}

TEST_P(ViolationTextsTest, PointersThatLeadNowhereAreNumbers) {
  EXPECT_EQ(ViolationOf(GivesBadPointers).decoded, (Words{"\"/mnt\"", "0x8", "0xffffffffffffffff", "0", "NULL"}));
}

TEST_P(ViolationTextsTest, LongTextIsCutAndSaysSo) {
  EXPECT_EQ(ViolationOf(NamesALongPath).decoded, (Words{"\"" + std::string(97, 'x') + "\"..."}));
}

INSTANTIATE_TEST_SUITE_P(StartMethods, ViolationTextsTest, testing::Values(StartMethod::kSpawn, StartMethod::kFork),
                         [](const auto& param) { return param.param == StartMethod::kSpawn ? "Spawn" : "Fork"; });

}  // namespace
}  // namespace brood
