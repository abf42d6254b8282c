#include "batch/policy_options.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "sandbox/notice_child.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

TEST(PolicyOptionsTest, ANearerRuleReplacesTheOneForTheSamePlace) {
  Policy policy = BuiltinPolicy("strict").value();
  const size_t before = policy.files.size();
  PolicyOptions options;
  options.files.push_back(ParseTmpfsRule("/tmp:1M").value());
  ASSERT_TRUE(ApplyPolicyOptions(options, policy).ok());
  EXPECT_EQ(policy.files.size(), before);
  EXPECT_EQ(policy.files.back().size_bytes, uint64_t{1} << 20);
}

TEST(PolicyOptionsTest, LimitsBecomeRequiredAndTheBuiltinsOwnStayDefaults) {
  Policy policy = BuiltinPolicy("strict").value();
  PolicyOptions options;
  options.limits.processes = 3;
  ASSERT_TRUE(ApplyPolicyOptions(options, policy).ok());
  EXPECT_EQ(policy.limits.processes, 3u);
  EXPECT_EQ(policy.limits.memory_bytes, std::nullopt);
  EXPECT_EQ(policy.default_limits.processes, 64u);
}

TEST(PolicyOptionsTest, ANetworkModeBringsOrDropsItsNamespace) {
  Policy policy = BuiltinPolicy("strict").value();
  PolicyOptions options;
  options.network = ParseNetwork("host").value();
  ASSERT_TRUE(ApplyPolicyOptions(options, policy).ok());
  EXPECT_FALSE(policy.namespaces.contains(Layer::kNet));
  options.network = ParseNetwork("loopback").value();
  ASSERT_TRUE(ApplyPolicyOptions(options, policy).ok());
  EXPECT_TRUE(policy.namespaces.contains(Layer::kNet));
}

TEST(PolicyOptionsTest, ANetworkModeBringsItsSocketRulesAndLeavesThoseOfOtherFamilies) {
  Policy policy = BuiltinPolicy("strict").value();
  PolicyOptions options;
  options.network = ParseNetwork("loopback").value();
  ASSERT_TRUE(ApplyPolicyOptions(options, policy).ok());
  std::set<std::pair<uint64_t, SyscallAction>> families;
  for (const SyscallRule& rule : policy.syscalls) {
    if (rule.layer == 1 && rule.names[0] == "socket") families.emplace(rule.args[0].value, rule.action);
  }
  EXPECT_EQ(families, (std::set<std::pair<uint64_t, SyscallAction>>{{AF_UNIX, SyscallAction::kErrno},
                                                                    {AF_INET, SyscallAction::kAllow},
                                                                    {AF_INET, SyscallAction::kErrno}}));
}

TEST(PolicyOptionsTest, ANetworkModeBringsTcpAndUdpAlone) {
  constexpr uint64_t kMptcp = 262;
  for (const char* base : {"strict", "default", "networked"}) {
    for (const char* mode : {"loopback", "host", "allow:10.0.0.5:443"}) {
      Policy policy = BuiltinPolicy(base).value();
      PolicyOptions options;
      options.network = ParseNetwork(mode).value();
      ASSERT_TRUE(ApplyPolicyOptions(options, policy).ok());
      const std::vector<sock_filter> filter = CompileFilter(policy).value().instructions;
      const auto answer = [&](uint64_t family, uint64_t type, uint64_t protocol) {
        const seccomp_data data = {.nr = SYS_socket, .arch = NativeArch(), .instruction_pointer = 0, .args = {family, type, protocol}};
        return child::RunFilter(filter.data(), filter.size(), data);
      };
      for (const uint64_t family : {AF_INET, AF_INET6}) {
        EXPECT_EQ(answer(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), SECCOMP_RET_ALLOW) << base << " " << mode;
        EXPECT_EQ(answer(family, SOCK_DGRAM, 0), SECCOMP_RET_ALLOW) << base << " " << mode;
        EXPECT_EQ(answer(family, SOCK_STREAM, kMptcp), SECCOMP_RET_ERRNO | EPROTONOSUPPORT) << base << " " << mode;
        EXPECT_EQ(answer(family, SOCK_DGRAM, IPPROTO_ICMP), SECCOMP_RET_ERRNO | EPROTONOSUPPORT) << base << " " << mode;
        EXPECT_EQ(answer(family, SOCK_RAW, IPPROTO_ICMP), SECCOMP_RET_ERRNO | EPERM) << base << " " << mode;
      }
    }
  }
}

TEST(PolicyOptionsTest, TheHostsNetworkComesWithoutTheHostsUnixSockets) {
  Policy policy = BuiltinPolicy("default").value();
  PolicyOptions options;
  options.network = ParseNetwork("host").value();
  ASSERT_TRUE(ApplyPolicyOptions(options, policy).ok());
  unsigned unix_sockets = 0;
  unsigned pairs = 0;
  for (const SyscallRule& rule : policy.syscalls) {
    if (rule.layer != 1 || rule.args.empty() || rule.args[0].value != AF_UNIX) continue;
    if (rule.names[0] == "socket") {
      ++unix_sockets;
      EXPECT_EQ(rule.action, SyscallAction::kErrno);
    } else if (rule.names[0] == "socketpair") {
      ++pairs;
      ASSERT_EQ(rule.args.size(), 2u);
      EXPECT_NE(rule.args[1].value, static_cast<uint64_t>(SOCK_DGRAM));
    }
  }
  EXPECT_EQ(unix_sockets, 1u);
  EXPECT_EQ(pairs, 2u);
}

TEST(PolicyOptionsTest, FileRulesThatWouldHideNothingAreRefused) {
  Policy policy = BuiltinPolicy("none").value();
  PolicyOptions options;
  options.files.push_back(ParseBindRule("/usr", FileRule::Access::kReadOnly).value());
  EXPECT_EQ(ApplyPolicyOptions(options, policy).code(), absl::StatusCode::kInvalidArgument);
}

TEST(PolicyOptionsTest, BindRulesAreMadeAbsoluteAndNormal) {
  const FileRule rule = ParseBindRule("/a/../b//c/", FileRule::Access::kReadWrite).value();
  EXPECT_EQ(rule.source, "/b/c");
  EXPECT_EQ(rule.destination, "/b/c");
  EXPECT_EQ(ParseBindRule("/a:b:/c", FileRule::Access::kReadOnly).value().source, "/a:b");
  EXPECT_EQ(ParseBindRule(".", FileRule::Access::kReadOnly).value().source[0], '/');
  EXPECT_FALSE(ParseBindRule("", FileRule::Access::kReadOnly).ok());
  EXPECT_FALSE(ParseBindRule(":/a", FileRule::Access::kReadOnly).ok());
}

TEST(PolicyOptionsTest, UnknownLayersAreNamedAndSuggested) {
  EXPECT_EQ(ParseLayers("memory,landlock").value().size(), 2u);
  const std::string message(ParseLayers("memroy").status().message());
  EXPECT_NE(message.find("did you mean \"memory\"?"), std::string::npos) << message;
}

}  // namespace
}  // namespace brood
