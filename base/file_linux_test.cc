// What is opened to be read neither waits nor goes on without end.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

class OpenToReadTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // What is in it, or why it was not read.
  static std::string Read(const std::string& path) {
    const absl::StatusOr<UniqueFd> file = OpenToRead(path);
    if (!file.ok()) return std::string(file.status().message());
    std::string text;
    char buffer[64];
    while (true) {
      const absl::StatusOr<size_t> count = ReadSome(file->get(), buffer, sizeof(buffer), path);
      if (!count.ok()) return std::string(count.status().message());
      if (*count == 0) return text;
      text.append(buffer, *count);
    }
  }

  std::string directory_;
};

TEST_F(OpenToReadTest, AFifoThatNobodyWritesIsAnErrorAtOnce) {
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(Read(fifo), absl::StrCat("open ", fifo, ": is a FIFO; expected a regular file, or a pipe as of <(...)"));
}

TEST_F(OpenToReadTest, WhoWritesIntoAFifoIsNotWoken) {
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const UniqueFd both(open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(write(both.get(), "x", 1), 1);
  EXPECT_FALSE(OpenToRead(fifo).ok());
  char byte = 0;
  EXPECT_EQ(read(both.get(), &byte, 1), 1);
}

TEST_F(OpenToReadTest, DevicesAndSocketsAreErrorsButForTheNullDevice) {
  EXPECT_TRUE(absl::StrContains(Read("/dev/zero"), "is a device; expected a regular file"));
  EXPECT_EQ(Read("/dev/null"), "");
  const UniqueFd socket_file(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  const std::string path = directory_ + "/socket";
  path.copy(name.sun_path, sizeof(name.sun_path) - 1);
  ASSERT_EQ(bind(socket_file.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  EXPECT_TRUE(absl::StrContains(Read(path), "is a socket; expected a regular file"));
}

TEST_F(OpenToReadTest, APipeByItsNumberIsReadToItsEnd) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t writer = fork();
  if (writer == 0) {
    close(ends[0]);
    // Only when it is waited for: a reader that does not wait would see nothing.
    const std::string reader = absl::StrCat("/proc/", getppid(), "/stat");
    for (std::string number, name, state; state != "S";) std::ifstream(reader) >> number >> name >> state;
    _exit(write(ends[1], "text", 4) == 4 ? 0 : 1);
  }
  close(ends[1]);
  EXPECT_EQ(Read(absl::StrCat("/dev/fd/", ends[0])), "text");
  close(ends[0]);
  EXPECT_EQ(waitpid(writer, nullptr, 0), writer);
}

TEST_F(OpenToReadTest, AFileByItsNumberIsRead) {
  std::ofstream(directory_ + "/file") << "text";
  const UniqueFd file(open((directory_ + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(Read(absl::StrCat("/dev/fd/", file.get())), "text");
}

}  // namespace
}  // namespace brood
