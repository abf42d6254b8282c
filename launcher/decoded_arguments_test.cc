#include "launcher/decoded_arguments.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <set>

#include "gtest/gtest.h"
#include "launcher/call_signatures.h"

namespace brood {
namespace {

using Words = std::vector<std::string>;

TEST(DecodedArgumentsTest, FlagsAndWordsHaveTheirNamesAndWhatHasNoneIsANumber) {
  EXPECT_EQ(DecodeArguments("socket", {1, SOCK_STREAM | SOCK_CLOEXEC, 0}, {}), (Words{"AF_UNIX", "SOCK_STREAM|SOCK_CLOEXEC", "0"}));
  EXPECT_EQ(DecodeArguments("socket", {99, 0x7f | SOCK_NONBLOCK, ~uint64_t{0}}, {}), (Words{"99", "0xf|SOCK_NONBLOCK|0x70", "-1"}));
  EXPECT_EQ(DecodeArguments("unshare", {0x10000000 | 0x00020000}, {}), (Words{"CLONE_NEWNS|CLONE_NEWUSER"}));
  EXPECT_EQ(DecodeArguments("clone", {0x10000000 | 17}, {})[0], "SIGCHLD|CLONE_NEWUSER");
  EXPECT_EQ(DecodeArguments("ioctl", {0, 0x5412, 0x7fff1234}, {}), (Words{"0", "TIOCSTI", "0x7fff1234"}));
  EXPECT_EQ(DecodeArguments("kill", {~uint64_t{0}, 9}, {}), (Words{"-1", "SIGKILL"}));
  EXPECT_EQ(DecodeArguments("ptrace", {16, 1, 0, 0}, {}), (Words{"PTRACE_ATTACH", "1", "NULL", "NULL"}));
  EXPECT_EQ(DecodeArguments("mmap", {0, 4096, 7, 0x22, 0xffffffff, 0}, {}),
            (Words{"NULL", "4096", "PROT_READ|PROT_WRITE|PROT_EXEC", "MAP_PRIVATE|MAP_ANONYMOUS", "-1", "0"}));
}

TEST(DecodedArgumentsTest, TextIsQuotedAndPrintableWhateverItIs) {
  EXPECT_EQ(DecodeArguments("mount", {1, 2, 3, MS_RDONLY | MS_NOSUID, 0}, {{0, {"/dev/\"a\"\n\x1b[2K\xff", false}}, {1, {"/mnt", true}}}),
            (Words{R"("/dev/\"a\"\n\x1b[2K\xff")", "\"/mnt\"...", "0x3", "MS_RDONLY|MS_NOSUID", "NULL"}));
  EXPECT_EQ(DecodeArguments("openat", {0xffffff9c, 1, 01102, 0644}, {{1, {"", false}}}),
            (Words{"AT_FDCWD", "\"\"", "O_RDWR|O_CREAT|O_TRUNC", "0644"}));
}

TEST(DecodedArgumentsTest, SocketAddressesAreThoseOfPolicies) {
  const auto address = [](const void* bytes, size_t size) {
    return DecodeArguments("connect", {3, 1, size}, {{1, {std::string(static_cast<const char*>(bytes), size), false}}})[1];
  };
  sockaddr_in four = {};
  four.sin_family = AF_INET;
  four.sin_port = htons(443);
  four.sin_addr.s_addr = htonl(0x0a000005);
  EXPECT_EQ(address(&four, sizeof(four)), "10.0.0.5:443");
  EXPECT_EQ(address(&four, 4), "{AF_INET}");  // Too short to be one.
  sockaddr_in6 six = {};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(80);
  six.sin6_addr = in6addr_loopback;
  EXPECT_EQ(address(&six, sizeof(six)), "[::1]:80");
  sockaddr_un local = {AF_UNIX, "/run/a\n"};
  EXPECT_EQ(address(&local, sizeof(local)), R"("unix:/run/a\n")");
  sockaddr_un abstract = {AF_UNIX, "\0name"};
  EXPECT_EQ(address(&abstract, 2 + 5), "\"unix:@name\"");
  EXPECT_EQ(address("x", 1), "{family 120}");
}

TEST(DecodedArgumentsTest, ACallThatIsNotKnownHasNone) { EXPECT_TRUE(DecodeArguments("no_such_call", {1, 2}, {}).empty()); }

TEST(DecodedArgumentsTest, EachCallStandsOnceWithAtMostSixArguments) {
  std::set<std::string_view> seen;
  for (const CallSignature& one : kCallSignatures) {
    EXPECT_TRUE(seen.insert(one.syscall).second) << one.syscall;
    EXPECT_LE(one.arguments.size(), 6u) << one.syscall;
    EXPECT_EQ(one.arguments.find_first_not_of("duxopsADOPMnUCNFTSRbKkr"), std::string_view::npos) << one.syscall;
    EXPECT_EQ(DecodeArguments(one.syscall, {1, 2, 3, 4, 5, 6}, {}).size(), one.arguments.size());
  }
  EXPECT_GE(seen.size(), 64u);
}

}  // namespace
}  // namespace brood
