#include "base/given_file.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

// A directory "room" that a child may write to, beside "mine" and "secret", which it may not.
class GivenFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/given-file-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    top_ = fs::canonical(pattern).native();
    for (const char* name : {"room", "mine", "secret"}) fs::create_directory(top_ + "/" + name);
    std::ofstream(top_ + "/secret/file") << "secret";
    std::ofstream(top_ + "/room/file") << "room";
    ASSERT_TRUE(room_.Add(top_ + "/room"));
  }
  void TearDown() override { fs::remove_all(top_); }

  // What a read of the first bytes gives, or the name of the error.
  std::string Read(const std::string& path, int flags = O_RDONLY) const {
    const UniqueFd file = OpenGivenFile(room_, path, flags);
    if (!file.valid()) return errno == ELOOP ? "ELOOP" : errno == ENOENT ? "ENOENT" : std::to_string(errno);
    char text[16];
    const ssize_t n = read(file.get(), text, sizeof(text));
    return std::string(text, n > 0 ? static_cast<size_t>(n) : 0);
  }
  void Link(const std::string& to, const std::string& name) const { fs::create_symlink(to, top_ + "/" + name); }

  std::string top_;
  UntrustedDirectories room_;
};

TEST_F(GivenFileTest, NoLinkIsFollowedWhereAChildMayWrite) {
  Link("../secret/file", "room/link");
  Link("../secret", "room/directory");
  Link("file", "room/near");
  EXPECT_EQ(Read(top_ + "/room/link"), "ELOOP");
  EXPECT_EQ(Read(top_ + "/room/directory/file"), "ELOOP");
  EXPECT_EQ(Read(top_ + "/room/near"), "ELOOP");
  EXPECT_EQ(Read(top_ + "/room/file"), "room");
  EXPECT_EQ(Read(top_ + "/room/none"), "ENOENT");
}

TEST_F(GivenFileTest, ALinkOfTheCallersIsFollowedAndWhatAChildHasPutBehindItIsNot) {
  Link("../room/run", "mine/latest");
  fs::create_directory(top_ + "/room/run");
  std::ofstream(top_ + "/room/run/file") << "run";
  EXPECT_EQ(Read(top_ + "/mine/latest/file"), "run");
  fs::remove_all(top_ + "/room/run");
  Link("../secret", "room/run");
  EXPECT_EQ(Read(top_ + "/mine/latest/file"), "ELOOP");
  EXPECT_EQ(Read(top_ + "/mine/latest"), "ELOOP");
}

TEST_F(GivenFileTest, TheWayOutOfItIsTheCallersAgain) {
  Link("file", "secret/link");
  EXPECT_EQ(Read(top_ + "/room/../secret/link"), "secret");
}

TEST_F(GivenFileTest, WhatIsToBeMadeIsMadeBehindALinkOfTheCallersAlone) {
  Link(top_ + "/mine/new", "mine/link");
  Link("../secret/new", "room/link");
  EXPECT_EQ(Read(top_ + "/mine/link", O_RDWR | O_CREAT), "");
  EXPECT_TRUE(fs::exists(top_ + "/mine/new"));
  EXPECT_EQ(Read(top_ + "/room/link", O_RDWR | O_CREAT), "ELOOP");
  EXPECT_FALSE(fs::exists(top_ + "/secret/new"));
  EXPECT_EQ(Read(top_ + "/room/made", O_RDWR | O_CREAT), "");
  EXPECT_TRUE(fs::exists(top_ + "/room/made"));
}

TEST_F(GivenFileTest, LinksThatGoInCirclesAreAnError) {
  Link("two", "mine/one");
  Link("one", "mine/two");
  EXPECT_EQ(Read(top_ + "/mine/one"), "ELOOP");
}

TEST_F(GivenFileTest, ADescriptorIsOpenedByItsName) {
  const UniqueFd file(open((top_ + "/secret/file").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(Read("/proc/self/fd/" + std::to_string(file.get())), "secret");
  const UniqueFd directory(open((top_ + "/secret").c_str(), O_PATH | O_CLOEXEC));
  EXPECT_EQ(Read("/proc/self/fd/" + std::to_string(directory.get()) + "/file"), "secret");
  EXPECT_TRUE(OpenGivenFile(room_, "/dev/fd", O_RDONLY | O_DIRECTORY).valid());
}

TEST_F(GivenFileTest, AMountOfItIsTheSameDirectory) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can mount";
  Link(top_ + "/secret/file", "room/link");
  const pid_t pid = fork();
  if (pid == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(2);
    if (mount((top_ + "/room").c_str(), (top_ + "/mine").c_str(), nullptr, MS_BIND, nullptr) != 0) _exit(2);
    _exit(Read(top_ + "/mine/link") == "ELOOP" && Read(top_ + "/mine/file") == "room" ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace brood
