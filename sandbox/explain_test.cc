#include "sandbox/explain.h"

#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "sandbox/errno_words.h"
#include "sandbox/filter_text.h"
#include "sandbox/seccomp_compiler.h"
#include "sandbox/syscall_groups.h"

namespace brood {
namespace {

TEST(ExplainTest, EveryBuiltInSaysWhatItAllowsInItsFirstLines) {
  const std::string strict = ExplainPolicy(BuiltinPolicy("strict").value());
  EXPECT_TRUE(absl::StartsWith(strict, "strict\nfiles: nothing of this machine but\n")) << strict;
  EXPECT_TRUE(absl::StrContains(strict, "network: none\n")) << strict;
  EXPECT_TRUE(absl::StrContains(strict, "a violation         every other call that is known")) << strict;
  EXPECT_TRUE(absl::StrContains(strict, "memory 512M, processes 64, wall_time 1m")) << strict;
  const std::string none = ExplainPolicy(BuiltinPolicy("none").value());
  EXPECT_TRUE(absl::StrContains(none, "system calls: all\n")) << none;
  EXPECT_TRUE(absl::StrContains(none, "limits: none\n")) << none;
}

TEST(ExplainTest, ANearerRuleStandsFirstAndIsTakenFromTheBases) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.syscalls.push_back({.names = {"read"}, .action = SyscallAction::kErrno, .errno_value = EIO, .layer = 7});
  policy.syscalls.push_back({.names = {"@scheduling"}, .action = SyscallAction::kNotify, .layer = 7});
  const std::string text = ExplainPolicy(policy);
  EXPECT_TRUE(absl::StrContains(text, "system calls\n  fails with EIO      read\n  allowed, and told   @scheduling\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "(but for read, openat2, inotify_init, inotify_init1)")) << text;
  EXPECT_FALSE(absl::StrContains(text, "fails with EPERM    @scheduling")) << text;
}

TEST(ExplainTest, ACallIsNotBothWhatItsOwnRuleSaysAndWhatItsGroups) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.syscalls.push_back({.names = {"listen"}, .action = SyscallAction::kErrno, .errno_value = EIO, .layer = 7});
  policy.syscalls.push_back({.names = {"@sockets"}, .layer = 7});
  EXPECT_TRUE(absl::StrContains(ExplainPolicy(policy), "  fails with EIO      listen\n  allowed             @sockets (but for listen)\n"))
      << ExplainPolicy(policy);
}

TEST(ExplainTest, SpeculationIsExplainedWhereItIsNotTheKernels) {
  Policy policy = BuiltinPolicy("strict").value();
  EXPECT_FALSE(absl::StrContains(ExplainPolicy(policy), "guess"));
  policy.speculation = SpeculationControl::kMitigate;
  EXPECT_TRUE(absl::StrContains(ExplainPolicy(policy), "  the CPU guesses neither past stores nor indirect branches that others have trained\n"));
  policy.speculation = SpeculationControl::kAllow;
  EXPECT_TRUE(absl::StrContains(ExplainPolicy(policy), "  the CPU may guess, where the kernel would stop that under a filter, too\n"));
}

TEST(ExplainTest, ComparisonsAreSentences) {
  EXPECT_EQ(ExplainComparisons({{.index = 1, .op = ArgumentRule::Op::kMaskedEqual, .value = 0x800, .mask = 0x800},
                                {.index = 0, .op = ArgumentRule::Op::kNotEqual, .value = 40, .width = 32}}),
            "argument 1 & 0x800 is 0x800 and argument 0 (32 bits) is not 0x28");
}

TEST(ExplainTest, ACallThatDoesNothingAndReturnsZeroSeemsToSucceed) {
  EXPECT_EQ(ExplainAction(SyscallAction::kErrno, kSeemsToSucceed), "seems to succeed");
  EXPECT_EQ(ExplainAction(SyscallAction::kErrno, EIO), "fails with EIO");
}

TEST(FilterTextTest, NamesNumbersErrnosAndTheGuardiansPart) {
  Policy policy;
  policy.drop_privileges = true;
  policy.filter_syscalls = true;
  policy.syscalls = {{.names = {"read"}},
                     {.names = {"uname"}, .action = SyscallAction::kNotify},
                     {.names = {"socket"},
                      .args = {{.index = 0, .op = ArgumentRule::Op::kEqual, .value = 2}},
                      .action = SyscallAction::kErrno,
                      .errno_value = EACCES}};
  const std::string text = DisassembleFilter(CompileFilter(policy).value().instructions);
  EXPECT_TRUE(absl::StartsWith(text, "0000  ld arch\n0001  jeq 0x")) << text;
  for (const char* part : {"; uname\n", "return guardian: report\n", "return guardian: violation\n", "ld args[0].high\n",
                           "return errno EACCES\n", "return errno ENOSYS\n", "return allow\n"}) {
    EXPECT_TRUE(absl::StrContains(text, part)) << part << text;
  }
}

// docs/syscall-groups.md lists the groups as they are.
TEST(SyscallGroupsTest, AreDocumentedWithTheirLists) {
  std::ifstream file("docs/syscall-groups.md");
  std::stringstream text;
  text << file.rdbuf();
  for (const SyscallGroup& group : SyscallGroups()) {
    EXPECT_TRUE(absl::StrContains(text.str(), absl::StrCat("| `", group.name, "` | ", group.description, " | ", group.members, " |\n")))
        << group.name;
  }
}

}  // namespace
}  // namespace brood
