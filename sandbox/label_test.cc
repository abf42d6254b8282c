// What is written for a label, what the kernel answers, and which module is there: text alone, since few machines have one.
#include "sandbox/label.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "sandbox/label_child.h"
#include "sandbox/plan_label.h"

namespace brood {
namespace {

using Module = LabelStep::Module;

TEST(LabelTest, IsANameWithoutControlCharacters) {
  for (const char* good : {"brood-job", "&brood-job", "/usr/bin/man", "a profile", "a//&b", ":ns:a", "u:r:job_t:s0"}) EXPECT_EQ(ParseLabel(good).value(), good);
  for (const std::string_view bad : {std::string_view(""), std::string_view("&"), std::string_view(" a"), std::string_view("a\n"), std::string_view("a\0b", 3), std::string_view("a\nb")}) {
    EXPECT_FALSE(ParseLabel(bad).ok()) << bad;
  }
  EXPECT_TRUE(ParseLabel(std::string(kMaxLabel, 'a')).ok());
  EXPECT_FALSE(ParseLabel(std::string(kMaxLabel + 1, 'a')).ok());
}

TEST(LabelTest, IsWrittenAsItsModuleReadsIt) {
  EXPECT_EQ(LabelText(Module::kAppArmor, "brood job"), "exec brood job");
  EXPECT_EQ(LabelText(Module::kAppArmor, "&brood-job"), "stack brood-job");
  EXPECT_EQ(LabelText(Module::kSelinux, "u:r:job_t:s0"), "u:r:job_t:s0");
}

TEST(LabelTest, AnotherThanWasAskedForIsNotTakenForIt) {
  using child::JudgeLabel;
  using child::LabelWord;
  const LabelStep plain = {.module = Module::kAppArmor, .text = "exec brood-job"};
  EXPECT_EQ(JudgeLabel(plain, "brood-job (enforce)"), LabelWord::kSame);
  EXPECT_EQ(JudgeLabel(plain, "brood-job (kill)"), LabelWord::kSame);
  EXPECT_EQ(JudgeLabel(plain, "brood-job (complain)"), LabelWord::kNotEnforced);
  EXPECT_EQ(JudgeLabel(plain, "brood-job (unconfined)"), LabelWord::kNotEnforced);
  EXPECT_EQ(JudgeLabel(plain, "brood-job"), LabelWord::kNotEnforced);
  for (const char* other : {"brood-jo (enforce)", "brood-jobs (enforce)", "unconfined", "", " (enforce)", "brood-job//null (enforce)"}) {
    EXPECT_EQ(JudgeLabel(plain, other), LabelWord::kOther) << other;
  }
  const LabelStep blank = {.module = Module::kAppArmor, .text = "exec a (b) c"};
  EXPECT_EQ(JudgeLabel(blank, "a (b) c (enforce)"), LabelWord::kSame);
  const LabelStep stack = {.module = Module::kAppArmor, .text = "stack brood-job"};
  EXPECT_EQ(JudgeLabel(stack, "docker-default//&brood-job (enforce)"), LabelWord::kSame);
  EXPECT_EQ(JudgeLabel(stack, "docker-default//&brood-job (complain)"), LabelWord::kNotEnforced);
  EXPECT_EQ(JudgeLabel(stack, "docker-default//&brood-job (mixed)"), LabelWord::kNotEnforced);
  EXPECT_EQ(JudgeLabel(stack, ""), LabelWord::kOther);
  const LabelStep context = {.module = Module::kSelinux, .text = "u:r:job_t:s0:c1,c2"};
  EXPECT_EQ(JudgeLabel(context, "u:r:job_t:s0:c1.c2"), LabelWord::kSame);
  const LabelStep without_level = {.module = Module::kSelinux, .text = "u:r:job_t"};
  EXPECT_EQ(JudgeLabel(without_level, "u:r:job_t"), LabelWord::kSame);
  EXPECT_EQ(JudgeLabel(without_level, "u:r:job_type"), LabelWord::kOther);
  EXPECT_EQ(JudgeLabel(context, "u:r:job_u:s0:c1.c2"), LabelWord::kOther);
  EXPECT_EQ(JudgeLabel(context, ""), LabelWord::kOther);
}

class LabelSupportTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    root_ = pattern;
    Write("/proc/filesystems", "nodev\tsysfs\n\text4\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, std::string_view text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  std::string root_;
};

TEST_F(LabelSupportTest, NamesTheModuleThatRuns) {
  EXPECT_EQ(FindLabelSupport(root_).module, Module::kNone);
  EXPECT_EQ(FindLabelSupport(root_).why, "neither AppArmor nor SELinux runs here");
  Write("/sys/module/apparmor/parameters/enabled", "N\n");
  EXPECT_EQ(FindLabelSupport(root_).module, Module::kNone);
  Write("/sys/module/apparmor/parameters/enabled", "Y\n");
  EXPECT_EQ(FindLabelSupport(root_).module, Module::kAppArmor);
  EXPECT_EQ(FindLabelSupport(root_).why, "");
}

TEST_F(LabelSupportTest, ASelinuxThatEnforcesNothingIsLess) {
  Write("/proc/filesystems", "nodev\tsysfs\nnodev\tselinuxfs\n");
  EXPECT_EQ(FindLabelSupport(root_).module, Module::kSelinux);
  EXPECT_EQ(FindLabelSupport(root_).remedy, "mount -t selinuxfs selinuxfs /sys/fs/selinux");
  Write("/sys/fs/selinux/enforce", "0");
  EXPECT_EQ(FindLabelSupport(root_).why, "SELinux is permissive, and enforces nothing");
  Write("/sys/fs/selinux/enforce", "1");
  EXPECT_EQ(FindLabelSupport(root_).why, "");
}

}  // namespace
}  // namespace brood
