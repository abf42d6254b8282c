#include "base/untrusted_directories.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

class UntrustedDirectoriesTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/untrusted-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    top_ = fs::canonical(pattern).native();
    fs::create_directories(top_ + "/room/inner");
    fs::create_symlink("room", top_ + "/link");
  }
  void TearDown() override { fs::remove_all(top_); }

  static bool Includes(const UntrustedDirectories& all, const std::string& path) {
    struct stat about = {};
    EXPECT_EQ(stat(path.c_str(), &about), 0) << path;
    return all.Include(about.st_dev, about.st_ino);
  }

  std::string top_;
};

TEST_F(UntrustedDirectoriesTest, AreKnownByNameAndThroughLinksToThem) {
  UntrustedDirectories all;
  EXPECT_TRUE(all.empty());
  EXPECT_TRUE(all.Add(top_ + "/link"));
  EXPECT_FALSE(all.Add(top_ + "/room")) << "twice";
  EXPECT_FALSE(all.empty());
  EXPECT_TRUE(all.Contain(top_ + "/room"));
  EXPECT_TRUE(all.Contain(top_ + "/room/inner/file"));
  EXPECT_FALSE(all.Contain(top_ + "/room2"));
  EXPECT_FALSE(all.Contain(top_));
  EXPECT_FALSE(all.Contain("/"));
}

TEST_F(UntrustedDirectoriesTest, AreKnownByWhatTheyAre) {
  UntrustedDirectories all;
  ASSERT_TRUE(all.Add(top_ + "/room"));
  fs::rename(top_ + "/room", top_ + "/other");
  EXPECT_TRUE(Includes(all, top_ + "/other"));
  EXPECT_FALSE(Includes(all, top_ + "/other/inner"));
}

TEST_F(UntrustedDirectoriesTest, WhatIsNoDirectoryIsNotAdded) {
  std::ofstream(top_ + "/file") << "text";
  UntrustedDirectories all;
  EXPECT_FALSE(all.Add(top_ + "/file"));
  EXPECT_FALSE(all.Add(top_ + "/missing"));
  EXPECT_TRUE(all.empty());
}

TEST_F(UntrustedDirectoriesTest, ThoseOfAnotherCountBesides) {
  const auto first = std::make_shared<UntrustedDirectories>();
  ASSERT_TRUE(first->Add(top_ + "/room"));
  const UntrustedDirectories both(first);
  EXPECT_FALSE(both.empty());
  EXPECT_TRUE(both.Contain(top_ + "/room/inner"));
  EXPECT_TRUE(Includes(both, top_ + "/room"));
  EXPECT_TRUE(UntrustedDirectories(nullptr).empty());
}

}  // namespace
}  // namespace brood
