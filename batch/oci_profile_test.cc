#include "batch/oci_profile.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <cerrno>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "batch/policy_json.h"
#include "gtest/gtest.h"
#include "sandbox/notice_child.h"
#include "sandbox/policy_flatbuffer.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

// In the format in which Docker publishes its default profile.
constexpr char kProfile[] = R"({
	"defaultAction": "SCMP_ACT_ERRNO",
	"defaultErrnoRet": 1,
	"archMap": [
		{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
		{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}
	],
	"syscalls": [
		{"names": ["read", "write", "execve", "exit_group", "getpid", "no_such_call_anywhere"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["process_vm_readv"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
		{"names": ["process_vm_writev"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "999.0"}},
		{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
		{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
		{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]},
		{"names": ["modify_ldt"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}, "excludes": {}},
		{"names": ["getpgid"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "arm64"]}},
		{"names": ["mount", "clone"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
		{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
		 "comment": "no namespaces", "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
		{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
		{"names": ["bpf"], "action": "SCMP_ACT_KILL_PROCESS", "args": null, "comment": "", "includes": {}},
		{"names": ["getpriority"], "action": "SCMP_ACT_ALLOW",
		 "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}
	]
})";

class OciProfileTest : public testing::Test {
 protected:
  void Import(const std::string& text) {
    const absl::StatusOr<Policy> policy = ParsePolicy(text, "docker.json");
    ASSERT_TRUE(policy.ok()) << policy.status();
    policy_ = *policy;
    filter_ = CompileFilter(policy_).value().instructions;
  }
  uint32_t Call(const char* name, uint64_t argument = 0) const {
    seccomp_data data = {};
    data.nr = seccomp_syscall_resolve_name(name);
    data.arch = NativeArch();
    data.args[0] = argument;
    return child::RunFilter(filter_.data(), filter_.size(), data);
  }
  static std::string Problem(const std::string& text) {
    return std::string(ParsePolicy(text, "docker.json").status().message());
  }

  Policy policy_;
  std::vector<sock_filter> filter_;
};

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t Errno(int value) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(value); }

TEST_F(OciProfileTest, APublishedProfileDecidesAsWithARuntime) {
  Import(kProfile);
  EXPECT_EQ(Call("read"), kAllow);
  EXPECT_EQ(Call("ptrace"), Errno(EPERM));  // On no list.
  EXPECT_EQ(Call("process_vm_readv"), kAllow);
  EXPECT_EQ(Call("process_vm_writev"), Errno(EPERM));  // Of a kernel to come.
  EXPECT_EQ(Call("personality", 0), kAllow);
  EXPECT_EQ(Call("personality", 8), kAllow);
  EXPECT_EQ(Call("personality", 1), Errno(EPERM));
  EXPECT_EQ(Call("socket", 2), kAllow);
  EXPECT_EQ(Call("socket", 40), Errno(EPERM));
  EXPECT_EQ(Call("modify_ldt"), Errno(EPERM));  // Of another architecture.
  EXPECT_EQ(Call("getpgid"), kAllow);
  EXPECT_EQ(Call("mount"), Errno(EPERM));  // Needs a capability, which a child has not.
  EXPECT_EQ(Call("clone", 0x11), kAllow);
  EXPECT_EQ(Call("clone", 0x10000011), Errno(EPERM));
  EXPECT_EQ(Call("clone3"), Errno(ENOSYS));
  EXPECT_EQ(Call("bpf"), NoticeAction(Notice::kViolation));
  EXPECT_EQ(Call("getpriority", 1), kAllow);  // One argument twice: alternatives.
  EXPECT_EQ(Call("getpriority", 2), kAllow);
  EXPECT_EQ(Call("getpriority", 3), Errno(EPERM));
}

// In the format in which Podman's and containerd's library publishes its default profile.
TEST_F(OciProfileTest, AnErrnoGivenByNameIsTheOneThatCounts) {
  Import(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
             "syscalls": [{"names": ["read", "execve", "exit_group"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {}},
                          {"names": ["bdflush", "mount"], "action": "SCMP_ACT_ERRNO", "args": [], "comment": "", "includes": {}, "excludes": {},
                           "errnoRet": 1, "errno": "EPERM"},
                          {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errno": "EINVAL"}]})");
  EXPECT_EQ(Call("mount"), Errno(EPERM));
  EXPECT_EQ(Call("socket"), Errno(EINVAL));
  EXPECT_EQ(Call("ptrace"), Errno(ENOSYS));
  EXPECT_EQ(Problem(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EFOO"})"), "docker.json:1: field \"defaultErrno\": unknown errno \"EFOO\"");
}

// So the runtime specification has it of errnoRet, whatever defaultErrnoRet says.
TEST_F(OciProfileTest, ARuleWithoutAnErrnoGivesEperm) {
  Import(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
             "syscalls": [{"names": ["execve", "exit_group"], "action": "SCMP_ACT_ALLOW"}, {"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]})");
  EXPECT_EQ(Call("mount"), Errno(EPERM));
  EXPECT_EQ(Call("ptrace"), Errno(ENOSYS));
}

TEST_F(OciProfileTest, AnErrnoOfZeroSeemsToSucceedAndOneWithoutANameIsANumber) {
  Import(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 0,
             "syscalls": [{"names": ["execve", "exit_group"], "action": "SCMP_ACT_ALLOW"}, {"names": ["chown"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
                          {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4095}]})");
  EXPECT_EQ(Call("chown"), Errno(0));
  EXPECT_EQ(Call("mount"), Errno(4095));
  EXPECT_EQ(Call("ptrace"), Errno(0));
  // As it is sent to a server, or written by `explain --json`.
  const absl::StatusOr<Policy> sent = DecodePolicy(EncodePolicy(policy_));
  ASSERT_TRUE(sent.ok()) << sent.status();
  filter_ = CompileFilter(*sent).value().instructions;
  EXPECT_EQ(Call("chown"), Errno(0));
  EXPECT_EQ(Call("mount"), Errno(4095));
  EXPECT_EQ(Call("ptrace"), Errno(0));
  EXPECT_EQ(Problem(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096})"), "docker.json:1: field \"defaultErrnoRet\": expected 0 to 4095");
}

TEST_F(OciProfileTest, TheRestIsThatOfDefault) {
  Import(kProfile);
  const Policy base = BuiltinPolicy("default").value();
  EXPECT_EQ(policy_.namespaces, base.namespaces);
  EXPECT_EQ(policy_.files.size(), base.files.size());
  EXPECT_EQ(policy_.network.mode, base.network.mode);
  EXPECT_TRUE(policy_.drop_privileges);
  EXPECT_EQ(policy_.name, "docker.json");
}

TEST_F(OciProfileTest, TheFormOfTheRuntimeSpecificationIsReadToo) {
  Import(R"({"defaultAction": "SCMP_ACT_KILL", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
             "flags": ["SECCOMP_FILTER_FLAG_LOG"],
             "syscalls": [{"name": "execve", "action": "SCMP_ACT_ALLOW"}, {"names": ["exit_group"], "action": "SCMP_ACT_ALLOW"},
                          {"names": ["read"], "action": "SCMP_ACT_TRACE"}, {"names": ["getpid"], "action": "SCMP_ACT_LOG"}]})");
  EXPECT_EQ(Call("write"), NoticeAction(Notice::kViolation));
  EXPECT_EQ(Call("execve"), kAllow);
  EXPECT_EQ(Call("read"), Errno(ENOSYS));
  EXPECT_EQ(Call("getpid"), static_cast<uint32_t>(SECCOMP_RET_LOG));
}

TEST_F(OciProfileTest, AContainersConfigurationIsToldApart) {
  EXPECT_EQ(Problem(R"({"ociVersion": "1.0.2", "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}})"),
            "docker.json: is the configuration of an OCI container, not a policy; its seccomp profile is the object \"seccomp\" in \"linux\"");
}

TEST_F(OciProfileTest, ErrorsNameFileLineAndField) {
  const auto rule = [](std::string_view fields) {
    return absl::StrCat("{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n \"syscalls\": [\n  {", fields, "}]}");
  };
  EXPECT_EQ(Problem(rule(R"("names": ["read"], "action": "ALLOW")")),
            "docker.json:3: field \"syscalls[0].action\": expected an SCMP_ACT_ word, got \"ALLOW\"");
  EXPECT_EQ(Problem(rule(R"("names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 9, "op": "SCMP_CMP_EQ"}])")),
            "docker.json:3: field \"syscalls[0].args[0].index\": expected 0 to 5");
  EXPECT_EQ(Problem(rule(R"("names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "op": "EQ"}])")),
            "docker.json:3: field \"syscalls[0].args[0].op\": expected an SCMP_CMP_ word, got \"EQ\"");
  EXPECT_EQ(Problem(rule(R"("names": ["read"], "action": "SCMP_ACT_NOTIFY")")),
            "docker.json:3: field \"syscalls[0].action\": SCMP_ACT_NOTIFY needs an agent that decides, which brood has not");
  EXPECT_EQ(Problem(rule(R"("action": "SCMP_ACT_ALLOW")")),
            "docker.json:3: field \"syscalls[0].names\": expected a list of system calls");
  EXPECT_TRUE(absl::StrContains(Problem(rule(R"("names": ["read"], "action": "SCMP_ACT_ALLOW", "argz": [])")), "\"syscalls[0].argz\""));
  EXPECT_EQ(Problem(R"({"defaultAction": "SCMP_ACT_ERRNO", "archMap": {"architecture": "SCMP_ARCH_S390X"}})"),
            "docker.json:1: field \"archMap\": expected a list, got an object");
  EXPECT_EQ(Problem(R"({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_S390X"]})"),
            absl::StrCat("docker.json: the profile is for SCMP_ARCH_S390X and not for SCMP_ARCH_",
                         ArchName(NativeArch(), 0) == "x86_64" ? "X86_64" : "AARCH64"));
}

}  // namespace
}  // namespace brood
