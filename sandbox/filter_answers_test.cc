#include "sandbox/filter_answers.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cerrno>

#include "gtest/gtest.h"
#include "sandbox/linux_plan.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

class FilterAnswersTest : public testing::Test {
 protected:
  void SetUp() override {
    const absl::StatusOr<Policy> policy = BuiltinPolicy("strict");
    ASSERT_TRUE(policy.ok()) << policy.status();
    absl::StatusOr<std::shared_ptr<const CompiledPolicy>> plan = CompilePolicy(*policy);
    ASSERT_TRUE(plan.ok()) << plan.status();
    plan_ = *std::move(plan);
  }

  FilterAnswers Of(long number) const {
    return AnswersOf(plan_->platform().child.filter, plan_->platform().child.filter_length, static_cast<uint32_t>(number));
  }
  uint32_t To(long number, const uint64_t (&args)[6]) const {
    return AnswerTo(plan_->platform().child.filter, plan_->platform().child.filter_length, static_cast<uint32_t>(number), args);
  }

  std::shared_ptr<const CompiledPolicy> plan_;
};

TEST_F(FilterAnswersTest, ACallThatIsAllowedIsAllowedAlways) {
  EXPECT_TRUE(Of(SYS_read).always_allows());
  EXPECT_TRUE(Of(SYS_wait4).always_allows());
}

TEST_F(FilterAnswersTest, ACallThatIsOffTheListIsNeverAllowed) {
  EXPECT_FALSE(Of(SYS_mount).may_allow);
  EXPECT_FALSE(Of(SYS_shmget).may_allow);
}

TEST_F(FilterAnswersTest, ACallWithACheckedArgumentIsBoth) {
  EXPECT_TRUE(Of(SYS_clone).may_allow);
  EXPECT_TRUE(Of(SYS_clone).may_refuse);
}

TEST_F(FilterAnswersTest, TheAnswerFollowsTheArguments) {
  EXPECT_EQ(To(SYS_clone, {SIGCHLD}), SECCOMP_RET_ALLOW);
  EXPECT_NE(To(SYS_clone, {SIGCHLD | CLONE_NEWUSER}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(To(SYS_socket, {1}), SECCOMP_RET_ERRNO | static_cast<uint32_t>(EACCES));
}

TEST(BrokenFilter, IsTrustedWithNothing) {
  const sock_filter runs_out[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
  EXPECT_FALSE(AnswersOf(runs_out, 1, SYS_read).always_allows());
  EXPECT_TRUE(AnswersOf(runs_out, 1, SYS_read).may_allow);
}

}  // namespace
}  // namespace brood
