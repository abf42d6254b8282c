// What `brood policy learn` makes of names that are no text: to the kernel they are bytes, a policy file is UTF-8.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "cli/testdata/brood_under_test.h"
#include "cli/testdata/learning.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

using LearnNamesTest = LearningTest;

TEST_F(LearnNamesTest, AFileWithANameThatIsNotUtf8IsShownWithItsDirectory) {
  const std::string file = MakeFile("data/\xff\xfe");
  ExpectEnough({"cat", file});
  const std::string text = FileContent(policy_);
  EXPECT_TRUE(Contains(text, "{\"path\": \"" + directory_ + "/data\"}")) << text;
  // The same run once more changes nothing.
  ASSERT_EQ(Learn({"cat", file}).exit_code, 0);
  EXPECT_EQ(FileContent(policy_), text);
}

TEST_F(LearnNamesTest, ADirectoryWithSuchANameIsShownWithTheOneAboveIt) {
  const std::string file = MakeFile("data/\xc3/deep/file");
  ExpectEnough({"cat", file});
  EXPECT_TRUE(Contains(FileContent(policy_), "{\"path\": \"" + directory_ + "/data\"}")) << FileContent(policy_);
}

TEST_F(LearnNamesTest, SuchAFileIsWrittenAndMadeInADirectoryThatIsWritable) {
  const std::string file = MakeFile("data/\xff");
  ExpectEnough({"sh", "-c", "echo more >>\"$1\"; mkdir -p \"$2\"; echo new >\"$2/new\"", "sh", file, directory_ + "/data/\xfe"});
  EXPECT_TRUE(Contains(FileContent(policy_), "{\"path\": \"" + directory_ + "/data\", \"access\": \"rw\"}")) << FileContent(policy_);
  EXPECT_EQ(FileContent(file), "textmore\nmore\n");
}

TEST_F(LearnNamesTest, WhatALinkWithSuchATargetLeadsToIsThere) {
  MakeFile("data/\xff");
  const std::string link = directory_ + "/link";
  std::filesystem::create_symlink("data/\xff", link);
  ExpectEnough({"sh", "-c", "readlink \"$1\"; cat \"$1\"", "sh", link});
}

TEST_F(LearnNamesTest, NamesThatJsonQuotesAreNamedThemselves) {
  for (const char* name : {"a\nb", "q\"uote", "back\\slash", "\x1b[31m", "// no comment", "\xc3\xa4"}) {
    const std::string file = MakeFile(std::string("odd/") + name);
    ExpectEnough({"cat", file});
    EXPECT_EQ(RunBrood({"policy", "check", policy_}).exit_code, 0) << name;
  }
  EXPECT_FALSE(Contains(FileContent(policy_), "/odd\"")) << FileContent(policy_);
}

// Says "hello" to whoever connects to a UNIX socket.
class LocalGreeter {
 public:
  explicit LocalGreeter(const std::string& name) : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(socket_.get(), 16) != 0) abort();
    thread_ = std::thread([this] {
      for (;;) {
        const UniqueFd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!connection.valid()) return;
        EXPECT_EQ(send(connection.get(), "hello", 5, MSG_NOSIGNAL), 5);
      }
    });
  }
  ~LocalGreeter() {
    shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  UniqueFd socket_;
  std::thread thread_;
};

class LearnAddressesTest : public LearnNamesTest {
 protected:
  void SetUp() override {
    LearnNamesTest::SetUp();
    if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "python3 is not installed";
  }
  // What a Python program does with `s`, a stream socket of UNIX's, and `directory`.
  std::vector<std::string> Python(const std::string& what) const {
    return {"/usr/bin/python3", "-c", "import socket, os\ns = socket.socket(socket.AF_UNIX)\ndirectory = '" + directory_ + "'\n" + what};
  }
};

TEST_F(LearnAddressesTest, AnIPv4AddressOfASocketForBothIsTheIPv4Address) {
  ExpectEnough(Python("t = socket.create_server(('127.0.0.1', 0))\nc = socket.socket(socket.AF_INET6)\n"
                      "c.connect(('::ffff:127.0.0.1', t.getsockname()[1]))\nt.accept()[0].send(b'x')\nprint(c.recv(1))"));
  EXPECT_TRUE(Contains(FileContent(policy_), R"("network": {"mode": "loopback"})")) << FileContent(policy_);
}

TEST_F(LearnAddressesTest, WhatAPolicyCannotNameIsToldAndTheRestIsLearnt) {
  const LocalGreeter zeros(std::string("\0brood-zeros-", 13) + std::to_string(getpid()) + std::string(10, '\0'));
  const LocalGreeter bytes(std::string("\0brood-\xff-", 9) + std::to_string(getpid()));
  const LocalGreeter path(directory_ + "/socket");
  const std::string pid = std::to_string(getpid());
  struct Case {
    std::string connect, told;
  };
  for (const Case& one : {Case{"s.connect(b'\\0brood-zeros-" + pid + "' + b'\\0' * 10)", "a connection to unix:@brood-zeros-"},
                          Case{"s.connect(b'\\0brood-\\xff-" + pid + "')", "a connection to unix:@brood-?-"},
                          Case{"os.chdir(directory)\ns.connect('socket')", "a connection to unix:" + directory_ + "/socket, by a relative path"}}) {
    std::filesystem::remove(policy_);
    const Finished learnt = Learn(Python(one.connect + "\nprint(s.recv(5))"));
    EXPECT_EQ(learnt.exit_code, 0) << learnt.err;
    EXPECT_EQ(learnt.out, "b'hello'\n");
    EXPECT_TRUE(Contains(learnt.err, "not in the policy: " + one.told)) << learnt.err;
    EXPECT_EQ(RunBrood({"policy", "check", policy_}).exit_code, 0);
    EXPECT_TRUE(Contains(FileContent(policy_), "// Not in the policy: " + one.told)) << FileContent(policy_);
  }
}

TEST_F(LearnAddressesTest, AServerWithARelativePathMayMakeItsSocket) {
  ExpectEnough(Python("os.chdir(directory)\ns.bind('own')\ns.listen()\nc = socket.socket(socket.AF_UNIX)\nc.connect('./own')\n"
                      "s.accept()[0].send(b'x')\nprint(c.recv(1))\nos.unlink('own')"));
}

// Inside nobody would be there.
TEST_F(LearnAddressesTest, DatagramsToAnotherProgramsLoopbackAreToldByWhateverCallTheyGo) {
  const UniqueFd other(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(other.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(other.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  for (const std::string call : {"sendto(b'x', to)", "sendmsg([b'x'], [], 0, to)"}) {
    std::filesystem::remove(policy_);
    const Finished learnt = Learn(Python("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nto = ('127.0.0.1', " + port + ")\nu." + call));
    EXPECT_EQ(learnt.exit_code, 0) << learnt.err;
    EXPECT_TRUE(Contains(learnt.err, "not in the policy: datagrams to 127.0.0.1:" + port)) << learnt.err;
    EXPECT_TRUE(Contains(FileContent(policy_), R"("network": {"mode": "none"})")) << FileContent(policy_);
  }
}

TEST_F(LearnAddressesTest, DatagramsAmongOnesOwnHaveALoopback) {
  ExpectEnough(Python("a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\na.bind(('0.0.0.0', 0))\n"
                      "b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nb.sendmsg([b'x'], [], 0, ('127.0.0.1', a.getsockname()[1]))\n"
                      "text, back = a.recvfrom(1)\na.sendto(text, back)\nprint(b.recv(1))"));
}

// Busybox does so, for one.
TEST_F(LearnAddressesTest, WhoIsNotRootInsideMayGiveUpWhatRootKeeps) {
  ExpectEnough(Python("if os.getuid() != 0:\n  os.setgid(os.getgid())\n  os.setuid(os.getuid())\nprint('done')"));
}

TEST_F(LearnNamesTest, AFieldThatIsNullIsNoneWhenAFileIsExtended) {
  std::ofstream(policy_) << R"({"extends": "strict", "files": [{"path": null, "paths": null, "tmpfs": "/x", "at": null}]})";
  const Finished learnt = Learn({"cat", MakeFile("file")});
  EXPECT_EQ(learnt.exit_code, 0) << learnt.err;
  EXPECT_TRUE(Contains(FileContent(policy_), "{\"path\": \"" + directory_ + "/file\"}")) << FileContent(policy_);
}

TEST_F(LearnNamesTest, AFileThatBeginsWithTheMarkOfUtf8CanBeExtended) {
  std::ofstream(policy_) << "\xef\xbb\xbf{\"extends\": \"strict\"}";
  ExpectEnough({"cat", MakeFile("file")});
}

}  // namespace
}  // namespace brood
