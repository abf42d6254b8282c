// `brood listen`, end to end: clients on loopback and on a UNIX socket, good ones and bad ones.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

bool Becomes(int fd, short events) {
  pollfd entry = {fd, events, 0};
  return poll(&entry, 1, 20'000) == 1;
}

// All that comes, to the end.
std::string ReadToEnd(int socket) {
  std::string text;
  char buffer[65536];
  while (Becomes(socket, POLLIN)) {
    const ssize_t n = recv(socket, buffer, sizeof(buffer), 0);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

std::string ReadLineOf(int socket) {
  std::string line;
  char c = 0;
  while (c != '\n' && Becomes(socket, POLLIN) && recv(socket, &c, 1, 0) == 1) line += c;
  return line;
}

void Say(int socket, std::string_view text) { EXPECT_EQ(send(socket, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size())); }

class ListenTest : public testing::Test {
 protected:
  ListenTest() {
    char folder[] = "/tmp/listen_test.XXXXXX";
    EXPECT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    results_ = folder_ + "/results";
  }
  ~ListenTest() override {
    server_.reset();
    unlink(results_.c_str());
    unlink((folder_ + "/s").c_str());
    rmdir(folder_.c_str());
  }

  void Listen(std::vector<std::string> options, const std::vector<std::string>& program) {
    std::vector<std::string> args = {"listen", "--port", "0", "--results", results_};
    args.insert(args.end(), options.begin(), options.end());
    args.push_back("--");
    args.insert(args.end(), program.begin(), program.end());
    server_ = std::make_unique<StartedBrood>(args);
    const std::string line = server_->ReadLine();
    std::string_view text = line;
    ASSERT_TRUE(absl::ConsumePrefix(&text, "listening on tcp:127.0.0.1:")) << line << server_->Wait().err;
    ASSERT_TRUE(absl::SimpleAtoi(text, &port_)) << line;
  }

  UniqueFd Connect() const {
    UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port_));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    return client;
  }

  // The line of the connection of that number, once it is there.
  std::string Result(int number) const {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (absl::Now() < end) {
      const std::string text = FileContent(results_);
      const size_t id = text.find(absl::StrCat("\"id\":\"", number, "\""));
      const size_t last = id == std::string::npos ? id : text.find('\n', id);
      if (last != std::string::npos) {
        const size_t before = text.rfind('\n', id);
        const size_t first = before == std::string::npos ? 0 : before + 1;
        return text.substr(first, last - first);
      }
      absl::SleepFor(absl::Milliseconds(5));
    }
    return "no line of connection";
  }

  // The client vanishes: its kernel says that nobody is there any more.
  static void Reset(UniqueFd client) {
    const linger at_once = {.l_onoff = 1, .l_linger = 0};
    EXPECT_EQ(setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
  }

  std::string folder_, results_;
  std::unique_ptr<StartedBrood> server_;
  int port_ = 0;
};

TEST_F(ListenTest, AConnectionIsTheProgramsStreamsToItsEnd) {
  Listen({"--policy", "strict"}, {"sh", "-c", "read -r x; echo got $x; echo err >&2; cat; exit 4"});
  const UniqueFd client = Connect();
  Say(client.get(), "one\ntwo\n");
  ASSERT_EQ(shutdown(client.get(), SHUT_WR), 0);
  EXPECT_EQ(ReadToEnd(client.get()), "got one\nerr\ntwo\n");
  const std::string line = Result(1);
  EXPECT_TRUE(absl::StartsWith(line, R"({"peer":"127.0.0.1:)")) << line;
  EXPECT_TRUE(absl::StrContains(line, R"("closed_by":"program")")) << line;
  EXPECT_TRUE(absl::StrContains(line, R"("status":"failed","exit_code":4,)")) << line;
  EXPECT_TRUE(absl::StrContains(line, R"("bytes":16,)")) << line;
}

TEST_F(ListenTest, EachHasASandboxOfItsOwn) {
  Listen({"--policy", "strict"}, {"sh", "-c", "read -r x; echo $x > /tmp/mine; read -r y; ls /tmp; cat /tmp/mine"});
  const UniqueFd one = Connect();
  const UniqueFd other = Connect();
  Say(one.get(), "one\n");
  Say(other.get(), "other\n");
  Say(one.get(), "\n");
  Say(other.get(), "\n");
  EXPECT_EQ(ReadToEnd(one.get()), "mine\none\n");
  EXPECT_EQ(ReadToEnd(other.get()), "mine\nother\n");
}

TEST_F(ListenTest, AClientThatVanishesTakesItsProgramWithIt) {
  Listen({"--after-end", "1h", "--wall-time", "1h"}, {"sh", "-c", "echo ready; sleep 1000"});
  UniqueFd client = Connect();
  EXPECT_EQ(ReadLineOf(client.get()), "ready\n");
  Reset(std::move(client));
  const std::string line = Result(1);
  EXPECT_TRUE(absl::StrContains(line, R"("closed_by":"client")")) << line;
  EXPECT_TRUE(absl::StrContains(line, R"("status":"signaled")")) << line;
}

TEST_F(ListenTest, AfterTheLastWordOfAClientItsProgramHasTheTimeThatWasSaid) {
  Listen({"--after-end", "100ms"}, {"sh", "-c", "cat; echo ready; sleep 1000"});
  const UniqueFd client = Connect();
  ASSERT_EQ(shutdown(client.get(), SHUT_WR), 0);
  EXPECT_EQ(ReadToEnd(client.get()), "ready\n");
  const std::string line = Result(1);
  EXPECT_TRUE(absl::StrContains(line, R"("closed_by":"client")")) << line;
}

TEST_F(ListenTest, TheWallTimeEndsWhoSaysNothingAndWhoReadsNothing) {
  Listen({"--wall-time", "300ms"}, {"sh", "-c", "cat & yes"});
  const UniqueFd silent = Connect();
  const UniqueFd deaf = Connect();
  for (const int number : {1, 2}) {
    const std::string line = Result(number);
    EXPECT_TRUE(absl::StrContains(line, R"("status":"timeout")")) << line;
  }
}

TEST_F(ListenTest, FloodsAndThoseWhoDoNotReadHoldUpNobody) {
  Listen({"--policy", "strict", "--output", "10M"}, {"sh", "-c", "read -r what; test $what = flood && yes; test $what = sleep && exec sleep 1000; echo $what"});
  const UniqueFd deaf = Connect();
  Say(deaf.get(), "flood\n");  // And never reads it.
  const UniqueFd flooding = Connect();
  Say(flooding.get(), "sleep\n");
  const std::string much(size_t{1} << 20, 'x');
  EXPECT_GT(send(flooding.get(), much.data(), much.size(), MSG_NOSIGNAL | MSG_DONTWAIT), 0);  // More than anybody takes.
  const UniqueFd reading = Connect();
  Say(reading.get(), "flood\n");
  EXPECT_EQ(ReadToEnd(reading.get()).size(), size_t{10} << 20);
  EXPECT_TRUE(absl::StrContains(Result(3), R"("status":"output")")) << Result(3);
  for (int i = 0; i < 5; ++i) {
    const UniqueFd good = Connect();
    Say(good.get(), "hello\n");
    EXPECT_EQ(ReadToEnd(good.get()), "hello\n");
  }
}

TEST_F(ListenTest, OneMoreThanMayBeIsRefusedAndTold) {
  Listen({"--max-per-address", "2"}, {"sh", "-c", "echo ready; cat"});
  UniqueFd one = Connect();
  const UniqueFd two = Connect();
  EXPECT_EQ(ReadLineOf(one.get()), "ready\n");
  EXPECT_EQ(ReadLineOf(two.get()), "ready\n");
  const UniqueFd three = Connect();
  EXPECT_EQ(ReadToEnd(three.get()), "");
  const std::string line = Result(3);
  EXPECT_TRUE(absl::StrContains(line, R"("closed_by":"refused")")) << line;
  EXPECT_TRUE(absl::StrContains(line, "--max-per-address 2")) << line;
  ASSERT_EQ(shutdown(one.get(), SHUT_WR), 0);
  EXPECT_EQ(ReadToEnd(one.get()), "");
  Result(1);
  const UniqueFd four = Connect();
  EXPECT_EQ(ReadLineOf(four.get()), "ready\n");
}

TEST_F(ListenTest, TermEndsAll) {
  Listen({}, {"sh", "-c", "echo ready; sleep 1000"});
  const UniqueFd client = Connect();
  EXPECT_EQ(ReadLineOf(client.get()), "ready\n");
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait().exit_code, 0);
  EXPECT_EQ(ReadToEnd(client.get()), "");
  EXPECT_TRUE(absl::StrContains(Result(1), R"("closed_by":"server")")) << Result(1);
  server_.reset();
}

TEST_F(ListenTest, ThePolicyIsThatOfTheCommandLine) {
  Listen({"--policy", "strict"}, {"sh", "-c", "cat /etc/shadow /etc/hostname; test -S /dev/stdin && echo socket; echo end"});
  const UniqueFd client = Connect();
  const std::string out = ReadToEnd(client.get());
  EXPECT_TRUE(absl::EndsWith(out, "end\n")) << out;
  EXPECT_FALSE(absl::StrContains(out, "root:")) << out;
  EXPECT_FALSE(absl::StrContains(out, "socket\n")) << out;
}

TEST_F(ListenTest, AUnixSocketIsTheOwnersAndGoesWithTheServer) {
  const std::string path = folder_ + "/s";
  server_ = std::make_unique<StartedBrood>(std::vector<std::string>{"listen", "--socket", path, "--after-end", "1h", "--wall-time", "1h", "--results", results_, "--", "sh", "-c", "echo ready; sleep 1000"});
  EXPECT_EQ(server_->ReadLine(), absl::StrCat("listening on unix:", path, "\n"));
  struct stat status;
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  {
    UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un to = {};
    to.sun_family = AF_UNIX;
    path.copy(to.sun_path, sizeof(to.sun_path) - 1);
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    EXPECT_EQ(ReadLineOf(client.get()), "ready\n");
  }
  // Its end is no half of one, as that of TCP may be.
  const std::string line = Result(1);
  EXPECT_TRUE(absl::StartsWith(line, absl::StrCat(R"({"peer":"uid )", getuid(), R"(","closed_by":"client")"))) << line;
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait().exit_code, 0);
  EXPECT_NE(stat(path.c_str(), &status), 0);
  server_.reset();
}

TEST(ListenUsageTest, SaysWhatWasExpected) {
  const struct {
    std::vector<std::string> args;
    const char* message;
  } cases[] = {
      {{"listen", "--", "true"}, "expected either --port N"},
      {{"listen", "--port", "x", "--", "true"}, "--port: expected 1 to 65535, or 0 for one that is free, got \"x\""},
      {{"listen", "--port", "0"}, "PROGRAM is missing"},
      {{"listen", "--port", "0", "--max-connections", "0", "--", "true"}, "--max-connections: expected a number from 1 on, got \"0\""},
      {{"listen", "--port", "0", "--stderr", "x", "--", "true"}, "--stderr: expected client, here or null, got \"x\""},
      {{"listen", "--socket", "/s", "--bind", "::1", "--", "true"}, "--bind: goes with --port"},
  };
  for (const auto& [args, message] : cases) {
    const Finished run = RunBrood(args);
    EXPECT_EQ(run.exit_code, 2) << message;
    EXPECT_TRUE(absl::StrContains(run.err, message)) << run.err;
  }
  const Finished run = RunBrood({"listen", "--port", "0", "--bind", "nowhere", "--", "true"});
  EXPECT_EQ(run.exit_code, 125);
}

}  // namespace
}  // namespace brood
