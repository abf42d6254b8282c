#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "sandbox/cgroup.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

class ReadBackLimitTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    path_ = pattern;
    directory_.reset(open(pattern, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  // What is said of a file with that content, where `expected` was written.
  absl::Status Of(const char* file, const std::string& content, uint64_t expected) {
    std::ofstream(absl::StrCat(path_, "/", file)) << content;
    return ReadBackLimit(directory_.get(), path_, file, expected);
  }

  std::string path_;
  UniqueFd directory_;
};

TEST_F(ReadBackLimitTest, AnotherNumberIsAnErrorThatNamesBoth) {
  EXPECT_TRUE(Of("pids.max", "65\n", 65).ok());
  const absl::Status other = Of("pids.max", "66\n", 65);
  EXPECT_EQ(other.message(), absl::StrCat("read_back: ", path_, "/pids.max: expected 65, seen 66"));
  EXPECT_FALSE(Of("pids.max", "max\n", 65).ok());
  EXPECT_FALSE(Of("memory.max", "max\n", 1 << 20).ok());
  EXPECT_FALSE(Of("memory.limit_in_bytes", "9223372036854771712\n", 1 << 20).ok());
}

TEST_F(ReadBackLimitTest, MemoryIsCountedInPages) {
  EXPECT_TRUE(Of("memory.max", "8192\n", 10000).ok());
  EXPECT_FALSE(Of("memory.max", "12288\n", 10000).ok());
  EXPECT_FALSE(Of("pids.max", "8192\n", 10000).ok());
}

TEST_F(ReadBackLimitTest, WhatIsMoreThanThereCanBeIsNoLimit) {
  EXPECT_TRUE(Of("memory.max", "max\n", ~uint64_t{0}).ok());
  EXPECT_TRUE(Of("memory.limit_in_bytes", "9223372036854771712\n", ~uint64_t{0}).ok());
}

TEST_F(ReadBackLimitTest, NoFileIsAnError) { EXPECT_FALSE(ReadBackLimit(directory_.get(), path_, "pids.max", 1).ok()); }

TEST(IsInCgroupsTest, OnlyWhoHasEnteredAllOfThem) {
  const Machine::Cgroups& where = ThisMachine().cgroups;
  if (where.unified.empty() && where.pids.empty()) GTEST_SKIP() << "no cgroup to write to";
  CgroupRequest request = {.processes = 10, .read_back = true};
  if (where.unified.empty() && !where.memory.empty()) request.memory_bytes = 100 << 20;
  const absl::StatusOr<Cgroups> cgroups = Cgroups::Create(request);
  ASSERT_TRUE(cgroups.ok()) << cgroups.status();
  const CgroupRecord record = cgroups->Record();
  EXPECT_FALSE(child::IsInCgroups(record));
  const pid_t pid = fork();
  if (pid == 0) {
    CgroupRecord all_but_one = record;
    --all_but_one.count;
    if (child::EnterCgroups(all_but_one, getpid()) != 0 || child::EnterOwnCgroups(all_but_one) != 0) _exit(1);
    if (child::IsInCgroups(record)) _exit(2);
    if (child::EnterCgroups(record, getpid()) != 0 || child::EnterOwnCgroups(record) != 0) _exit(3);
    _exit(child::IsInCgroups(record) ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
  EXPECT_TRUE(child::RemoveCgroups(record, 1000));
}

}  // namespace
}  // namespace brood
