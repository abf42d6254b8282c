#include "launcher/stack/stack_support.h"

#include <linux/audit.h>

#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(StackSupportTest, OtherArchitecturesAreRefusedByName) {
  EXPECT_TRUE(CheckStackTraces(AUDIT_ARCH_X86_64).ok());
  const absl::Status arm = CheckStackTraces(AUDIT_ARCH_AARCH64);
  EXPECT_EQ(arm.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(arm.message(),
            "violation stack: stack traces of violations are there for x86_64 only, and this is aarch64; run without --violation-stack");
  EXPECT_FALSE(CheckStackTraces(AUDIT_ARCH_RISCV64).ok());
}

}  // namespace
}  // namespace brood
