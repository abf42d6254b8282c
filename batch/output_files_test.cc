#include "batch/output_files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/unique_fd.h"
#include "batch/file_identity.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

class OutputFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/output-files-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    top_ = pattern;
  }
  void TearDown() override { fs::remove_all(top_); }

  // What is said of lines, in which @ stands for the test's directory.
  std::string ErrorOf(std::string_view lines, const std::string& output_dir = "", const std::vector<TakenFile>& taken = {}) const {
    const absl::StatusOr<std::vector<Job>> jobs = ParseJobs(absl::StrReplaceAll(lines, {{"@", top_}}), "jobs");
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    if (!jobs.ok()) return "";
    return absl::StrReplaceAll(CheckOutputFiles(*jobs, "jobs", output_dir, taken).message(), {{top_, "@"}});
  }
  void Write(const std::string& name) const { std::ofstream(top_ + "/" + name) << "text"; }

  std::string top_;
};

TEST_F(OutputFilesTest, OneFileOfTwoJobsIsAnErrorThatNamesTheOtherLine) {
  EXPECT_EQ(ErrorOf("{\"argv\":[\"a\"],\"stdout\":\"@/out\"}\n\n{\"argv\":[\"b\"],\"stderr\":\"@/out\"}"),
            "jobs:3: field \"stderr\": @/out is the \"stdout\" of line 1 already, which would be lost; give each a file of its own");
  EXPECT_EQ(ErrorOf("{\"argv\":[\"a\"],\"copy_out\":[\"/tmp/a:@/out\"]}\n{\"argv\":[\"b\"],\"copy_out\":[\"/tmp/x:@/x\",\"/tmp/a:@/out\"]}"),
            "jobs:2: field \"copy_out[1]\": @/out is the \"copy_out[0]\" of line 1 already, which would be lost; give each a file of its own");
  EXPECT_NE(ErrorOf("{\"argv\":[\"a\"],\"copy_out\":[\"/tmp/a:@/out\"],\"stdout\":\"@/out\"}"), "");
}

TEST_F(OutputFilesTest, ItIsOneFileByWhateverNamesItIsReached) {
  Write("there");
  fs::create_directory(top_ + "/d");
  fs::create_symlink("there", top_ + "/link");
  fs::create_symlink(top_ + "/d", top_ + "/e");
  fs::create_symlink("d/new", top_ + "/dangling");
  fs::create_hard_link(top_ + "/there", top_ + "/hard");
  for (const auto& [one, other] : {std::pair("there", "link"), {"there", "hard"}, {"there", "d/../there"}, {"there", ".//there"}, {"d/new", "e/new"},
                                   {"d/new", "dangling"}, {"none/x", "none//./x"}}) {
    EXPECT_NE(ErrorOf(absl::StrCat("{\"argv\":[\"a\"],\"stdout\":\"@/", one, "\"}\n{\"argv\":[\"b\"],\"stdout\":\"@/", other, "\"}")), "") << one << " " << other;
  }
  EXPECT_EQ(ErrorOf("{\"argv\":[\"a\"],\"stdout\":\"@/d/new\"}\n{\"argv\":[\"b\"],\"stdout\":\"@/new\"}\n{\"argv\":[\"b\"],\"stdout\":\"@/there\"}"), "");
  // What is copied out takes the place of a link.
  EXPECT_EQ(ErrorOf("{\"argv\":[\"a\"],\"stdout\":\"@/there\"}\n{\"argv\":[\"b\"],\"copy_out\":[\"/tmp/x:@/link\"]}"), "");
}

TEST_F(OutputFilesTest, BothStreamsOfAJobAndWhatIsNoFileMayBeShared) {
  ASSERT_EQ(mkfifo((top_ + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(ErrorOf("{\"argv\":[\"a\"],\"stdout\":\"@/out\",\"stderr\":\"@/./out\"}"), "");
  for (const char* path : {"/dev/null", "@/fifo"}) {
    const std::string line = absl::StrCat("{\"argv\":[\"a\"],\"stdout\":\"", path, "\",\"stderr\":\"", path, "\"}\n");
    EXPECT_EQ(ErrorOf(line + line), "") << path;
  }
}

TEST_F(OutputFilesTest, AJobsInputIsNotEmptiedByItsOutput) {
  Write("data");
  EXPECT_EQ(ErrorOf("{\"argv\":[\"sort\"],\"stdin\":\"@/data\",\"stdout\":\"@/data\"}"),
            "jobs:1: field \"stdout\": @/data is its \"stdin\" too, and would be emptied before it is read; give each a file of its own");
  // What one job has written another may read.
  EXPECT_EQ(ErrorOf("{\"argv\":[\"a\"],\"stdout\":\"@/data\"}\n{\"argv\":[\"b\"],\"stdin\":\"@/data\"}"), "");
}

TEST_F(OutputFilesTest, ProgramsOfOneJobAreTwoToo) {
  EXPECT_EQ(ErrorOf("{\"programs\":[{\"argv\":[\"a\"],\"stdout\":\"@/out\"},{\"argv\":[\"b\"],\"stdout\":\"@/out\"}]}"),
            "jobs:1: field \"programs[1].stdout\": @/out is the \"programs[0].stdout\" of line 1 already, which would be lost; give each a file of its own");
}

TEST_F(OutputFilesTest, AProgramAndAJobOfItsNameHaveOneDirectory) {
  const std::string dir = top_ + "/results";
  EXPECT_NE(ErrorOf("{\"id\":\"a\",\"programs\":[{\"argv\":[\"x\"]}]}\n{\"id\":\"a.0\",\"argv\":[\"y\"]}", dir), "");
  EXPECT_NE(ErrorOf("{\"id\":\"a\",\"argv\":[\"x\"]}\n{\"id\":\"b\",\"argv\":[\"y\"],\"stderr\":\"@/results/a/stdout\"}", dir), "");
  EXPECT_EQ(ErrorOf("{\"id\":\"a\",\"programs\":[{\"argv\":[\"x\"]},{\"argv\":[\"z\"]}]}\n{\"id\":\"b\",\"argv\":[\"y\"]}", dir), "");
}

TEST_F(OutputFilesTest, WhatTheBatchItselfWritesIsNoJobs) {
  Write("journal");
  const UniqueFd file(open((top_ + "/journal").c_str(), O_RDONLY | O_CLOEXEC));
  for (const auto& identities : {IdentitiesOf(top_ + "/journal", LastLink::kFollow), IdentitiesOfDescriptor(file.get())}) {
    EXPECT_EQ(ErrorOf("{\"argv\":[\"a\"],\"stdout\":\"@/journal\"}", "", {{.what = "the journal", .identities = identities}}),
              "jobs:1: field \"stdout\": @/journal is the journal; give each a file of its own");
  }
}

TEST_F(OutputFilesTest, ManyAreCounted) {
  std::string lines;
  for (int i = 0; i < 50; ++i) absl::StrAppend(&lines, "{\"argv\":[\"a\"],\"stdout\":\"@/out\"}\n");
  const std::string error = ErrorOf(lines);
  EXPECT_EQ(error.substr(error.rfind('\n') + 1), "jobs: 29 more files that are written twice");
}

}  // namespace
}  // namespace brood
