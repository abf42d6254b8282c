// A batch whose jobs share a directory of the machine, which some may write to: no other is led elsewhere by what they leave there.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

class UntrustedJobsTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-untrusted-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    top_ = pattern;
    for (const char* name : {"shared", "secret", "mine"}) fs::create_directory(top_ + "/" + name);
    std::ofstream(top_ + "/secret/file") << "untouched";
    // As a job with rights to "shared" has planted them.
    fs::create_symlink("../secret/file", top_ + "/shared/link");
    fs::create_symlink("../secret", top_ + "/shared/away");
    fs::create_symlink(top_ + "/shared/away", top_ + "/mine/latest");
  }
  void TearDown() override { fs::remove_all(top_); }

  // Of a job with those fields, in which @ is the test's directory, behind one that may write to "shared", or without one.
  Finished Run(const std::string& fields, bool with_writer = true, const std::vector<std::string>& options = {}) const {
    std::string jobs = absl::StrCat(R"({"id":"reader","argv":["cat","/proc/self/mountinfo"],"policy":"strict",)", fields, "}\n");
    if (with_writer) absl::StrAppend(&jobs, R"({"id":"writer","argv":["true"],"policy":"strict","rw":["@/shared"]})", "\n");
    std::vector<std::string> args = {"batch"};
    args.insert(args.end(), options.begin(), options.end());
    args.push_back(TempFile("untrusted.jsonl", absl::StrReplaceAll(jobs, {{"@", top_}})));
    return RunBrood(args);
  }

  std::string top_;
};

TEST_F(UntrustedJobsTest, NoFileOfAJobsIsOpenedBehindALinkThatAnotherMayHavePlanted) {
  for (const std::string field : {R"("stdin":"@/shared/link")", R"("stdout":"@/shared/link")", R"("stderr":"@/shared/link")",
                                  R"("stdin":"@/shared/away/file")", R"("stdin":"@/mine/latest/file","ro":["@/shared"])", R"("stdout":"@/mine/latest/new")",
                                  R"("copy_in":["@/shared/link:/tmp/in"])", R"("copy_out":["/tmp/in:@/shared/away/new"])"}) {
    const Finished batch = Run(field);
    EXPECT_EQ(batch.exit_code, 1) << field << batch.err;
    EXPECT_TRUE(absl::StrContains(batch.out, R"("status":"setup_failed")") && absl::StrContains(batch.out, "ELOOP")) << field << batch.out;
  }
  EXPECT_EQ(FileContent(top_ + "/secret/file"), "untouched");
  EXPECT_FALSE(fs::exists(top_ + "/secret/new"));
}

TEST_F(UntrustedJobsTest, NothingIsShownThatIsBehindOne) {
  for (const std::string field : {R"("ro":["@/shared/away:/x"])", R"("rw":["@/shared/away:/x"])", R"("ro":["@/shared/link:/x"])", R"("rw":["@/mine/latest:/x"])",
                                  R"("overlay":["@/shared/away:/x"])", R"("overlay_kept":["@/shared/away:@/mine:/x"])",
                                  R"("overlay_ro":["@/mine:/x"],"overlay_below":["@/shared/away:/x"])"}) {
    const Finished batch = Run(field);
    EXPECT_EQ(batch.exit_code, 1) << field << batch.err;
    EXPECT_TRUE(absl::StrContains(batch.out, "following no link where another child may write: give the path that it leads to, ")) << field << batch.out;
  }
  const Finished by_default = Run(R"("env":[])", true, {"--ro", top_ + "/shared/away:/x"});
  EXPECT_TRUE(absl::StrContains(by_default.out, "following no link where another child may write")) << by_default.out << by_default.err;
}

TEST_F(UntrustedJobsTest, NoResultIsWrittenBehindOne) {
  for (const char* option : {"--results", "--joblog", "--junit", "--trace"}) {
    const Finished batch = Run(R"("env":[])", true, {option, top_ + "/shared/link"});
    EXPECT_EQ(batch.exit_code, 125) << option;
    EXPECT_TRUE(absl::StrContains(batch.err, absl::StrCat("open, following no link where a child may write, ", top_, "/shared/link"))) << option << batch.err;
  }
  const Finished run = RunBrood({"run", "--rw", top_ + "/shared", "--result", top_ + "/shared/link", "true"});
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "following no link where a child may write")) << run.err;
  EXPECT_EQ(FileContent(top_ + "/secret/file"), "untouched");
  EXPECT_EQ(RunBrood({"run", "--rw", top_ + "/shared", "--result", top_ + "/shared/result", "true"}).exit_code, 0);
}

TEST_F(UntrustedJobsTest, TheCallersOwnLinksAreFollowed) {
  EXPECT_EQ(Run(R"("stdin":"@/shared/link")", false).exit_code, 0);
  fs::create_symlink("secret", top_ + "/own");
  const Finished batch = Run(R"("stdin":"@/own/file","stdout":"@/own/out","ro":["@/own:/x","@/shared/../own/file:/y"])");
  EXPECT_EQ(batch.exit_code, 0) << batch.out << batch.err;
}

}  // namespace
}  // namespace brood
