// Groups whose owners were killed together with all that would have removed them.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "sandbox/cgroup.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

class AbandonedCgroupsTest : public testing::Test {
 protected:
  void SetUp() override {
    const Machine::Cgroups& where = ThisMachine().cgroups;
    const std::string parent = where.unified.empty() ? where.pids : where.unified;
    if (parent.empty()) GTEST_SKIP() << where.why_not;
    path_ = absl::StrCat(parent, "/brood-test-", getpid());
    ASSERT_EQ(mkdir(path_.c_str(), 0755), 0);
  }
  void TearDown() override {
    if (pid_ > 0) kill(pid_, SIGKILL);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    rmdir((path_ + "/brood-child-0").c_str());
    rmdir(path_.c_str());
  }

  void Sleep(const std::string& group) {
    pid_ = fork();
    if (pid_ == 0) {
      while (true) pause();
    }
    std::ofstream(group + "/cgroup.procs") << pid_ << std::flush;
  }

  std::string path_;
  pid_t pid_ = -1;
};

TEST_F(AbandonedCgroupsTest, WhatIsInAGroupOfAKeptSandboxesChildEndsAndAllIsRemoved) {
  const std::string child = path_ + "/brood-child-0";
  ASSERT_EQ(mkdir(child.c_str(), 0755), 0);
  Sleep(child);
  EXPECT_TRUE(RemoveAbandonedCgroup(path_));
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  int status = 0;
  EXPECT_EQ(waitpid(pid_, &status, WNOHANG), pid_);
  EXPECT_TRUE(WIFSIGNALED(status));
  pid_ = -1;
}

TEST_F(AbandonedCgroupsTest, NothingOfOneWhoseOwnerLivesIsTouched) {
  const UniqueFd owner(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(flock(owner.get(), LOCK_EX | LOCK_NB), 0);
  const std::string child = path_ + "/brood-child-0";
  ASSERT_EQ(mkdir(child.c_str(), 0755), 0);
  Sleep(child);
  EXPECT_FALSE(RemoveAbandonedCgroup(path_));
  EXPECT_EQ(access(child.c_str(), F_OK), 0);
  EXPECT_EQ(waitpid(pid_, nullptr, WNOHANG), 0);
}

}  // namespace
}  // namespace brood
