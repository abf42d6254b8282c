// What the tests of `brood serve` share: a server in a process of its own, and clients that do what no client of ours does.
#ifndef BROOD_SERVE_SERVE_TESTING_H_
#define BROOD_SERVE_SERVE_TESTING_H_

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/fd_message_child.h"
#include "base/unique_fd.h"
#include "forkserver/request.h"
#include "gtest/gtest.h"
#include "launcher/launch_options.h"
#include "launcher/outcome_flatbuffer.h"
#include "launcher/process.h"
#include "launcher/remote_launch.h"
#include "launcher/serve_protocol.h"
#include "serve/server.h"

namespace brood {

constexpr int kWaitMs = 20000;  // For what happens at once.

inline std::pair<UniqueFd, UniqueFd> Pipe() {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Whether all who held the other end have gone, whatever they have written.
inline bool HasHungUp(int fd) {
  pollfd polled = {fd, POLLIN, 0};
  char text[512];
  while (poll(&polled, 1, kWaitMs) == 1) {
    if (read(fd, text, sizeof(text)) <= 0) return true;
  }
  return false;
}

// The server, in a fork of the test.
class ServerProcess {
 public:
  explicit ServerProcess(ServeOptions options, rlim_t open_files = 0) {
    char folder[] = "/tmp/serve_test.XXXXXX";  // 107 bytes are possible. unix(7)
    EXPECT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    EXPECT_EQ(chmod(folder, 0755), 0);
    options.socket = path_ = absl::StrCat(folder_, "/s");
    auto [ready_reader, ready] = Pipe();
    auto [stop, stop_writer] = Pipe();
    pid_ = fork();
    if (pid_ == 0) {
      stop_writer.reset();
      if (open_files > 0) {
        const rlimit limit = {open_files, open_files};
        setrlimit(RLIMIT_NOFILE, &limit);
      }
      absl::StatusOr<std::unique_ptr<ServeServer>> server = ServeServer::Create(std::move(options));
      if (!server.ok()) {
        fprintf(stderr, "%s\n", server.status().ToString().c_str());
        _exit(1);
      }
      (void)!write(ready.get(), "r", 1);
      ready.reset();
      const absl::Status served = (*server)->Run(stop.get());
      server->reset();
      _exit(served.ok() ? 0 : 1);
    }
    stop_ = std::move(stop_writer);
    ready.reset();
    char byte = 0;
    EXPECT_EQ(read(ready_reader.get(), &byte, 1), 1);
  }

  ~ServerProcess() {
    EXPECT_EQ(Stop(), 0);
    rmdir(folder_.c_str());
  }

  // Gives its exit status as of waitpid(2).
  int Stop() {
    if (pid_ < 0) return 0;
    stop_.reset();
    int status = -1;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return status;
  }

  const std::string& path() const { return path_; }
  pid_t pid() const { return pid_; }

  size_t OpenDescriptors() const {
    size_t count = 0;
    DIR* directory = opendir(absl::StrCat("/proc/", pid_, "/fd").c_str());
    while (readdir(directory) != nullptr) ++count;
    closedir(directory);
    return count;
  }

  // Waits until it holds no more than `count`.
  bool AwaitDescriptors(size_t count) const {
    for (int i = 0; i < kWaitMs / 2; ++i) {
      if (OpenDescriptors() <= count) return true;
      poll(nullptr, 0, 2);
    }
    return false;
  }

 private:
  std::string folder_, path_;
  pid_t pid_ = -1;
  UniqueFd stop_;
};

// A connection on which a test says what it likes.
class RawClient {
 public:
  explicit RawClient(const std::string& path) {
    absl::StatusOr<UniqueFd> connection = internal::ConnectToServer(path, {});
    EXPECT_TRUE(connection.ok()) << connection.status();
    if (connection.ok()) connection_ = *std::move(connection);
  }

  int get() const { return connection_.get(); }
  void Close() { connection_.reset(); }

  absl::Status Send(uint64_t tag, std::string_view bytes, const std::vector<int>& fds = {}) const {
    return internal::SendRequest(connection_.get(), bytes, fds, {.patience = absl::Seconds(20), .tag = tag});
  }
  absl::Status Ask(internal::ServeTag::Kind kind, std::string_view bytes = "", const std::vector<int>& fds = {}) const {
    return Send(internal::ServeTag{.kind = kind}.Encode(), bytes, fds);
  }
  absl::Status Launch(const internal::RemoteLaunch& launch) const {
    const internal::EncodedRemoteLaunch encoded = internal::EncodeRemoteLaunch(launch);
    return Ask(internal::ServeTag::Kind::kLaunch, encoded.bytes, encoded.fds);
  }

  struct Answer {
    internal::ServeTag::Kind kind = internal::ServeTag::Kind::kAskPolicy;  // What no server says.
    std::string bytes;
    bool end = false;
  };

  Answer Next() const {
    pollfd polled = {connection_.get(), POLLIN, 0};
    if (poll(&polled, 1, kWaitMs) != 1) return {.kind = internal::ServeTag::Kind::kAskPolicy, .bytes = "nothing came"};
    internal::RawRequest raw;
    child::FdMessage message;
    const iovec part = {raw.data, sizeof(raw.data)};
    do {
      message = child::ReceiveWithFds(connection_.get(), &part, 1, raw.fds, child::kMaxFdsOfMessage, 0);
    } while (message.bytes < 0 && errno == ECONNRESET);
    if (message.bytes <= 0) return {.kind = internal::ServeTag::Kind::kAskPolicy, .bytes = "", .end = true};
    raw.size = static_cast<size_t>(message.bytes);
    raw.fd_count = message.fd_count;
    internal::Request request;
    EXPECT_EQ(internal::UnpackRequest({raw.data, raw.size}, raw.fds, raw.fd_count, request), absl::OkStatus());
    return {.kind = internal::ServeTag::Decode(request.tag)->kind, .bytes = request.bytes};
  }

  // The refusal that comes next, and then the end; OK if that is not so.
  absl::Status Refusal() const {
    const Answer answer = Next();
    if (answer.end || answer.kind != internal::ServeTag::Kind::kRefused) return absl::OkStatus();
    EXPECT_TRUE(Next().end);
    return internal::DecodeRefusal(answer.bytes);
  }

  // The outcome that comes next; Lost if that is not so.
  Outcome End() const {
    const Answer answer = Next();
    Outcome lost;
    lost.ending = Lost{absl::StrCat(answer.end ? "end" : "not an outcome: ", answer.bytes)};
    if (answer.end || answer.kind != internal::ServeTag::Kind::kOutcome) return lost;
    return DecodeOutcome(answer.bytes).value_or(lost);
  }

 private:
  UniqueFd connection_;
};

// A launch that is right: `sh -c SCRIPT` without input. What is sent with it is open as long as this is.
class GoodLaunch {
 public:
  explicit GoodLaunch(const std::string& script) : null_(open("/dev/null", O_RDWR | O_CLOEXEC)) {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ours_.reset(pair[0]);
    theirs_.reset(pair[1]);
    launch.argv = {"sh", "-c", script};
    launch.environment = {"PATH=/usr/bin:/bin"};
    launch.cwd = "/";
    for (internal::RemoteStream& stream : launch.streams) stream.fd = null_.get();
    launch.control = theirs_.get();
  }

  int control() const { return ours_.get(); }
  void CloseTheirs() { theirs_.reset(); }
  void Close() {
    ours_.reset();
    theirs_.reset();
  }

  internal::RemoteLaunch launch;

 private:
  UniqueFd null_, ours_, theirs_;
};

// Whether the server still does what it is for.
inline bool Serves(const std::string& path) {
  const RawClient client(path);
  GoodLaunch good("exit 3");
  EXPECT_EQ(client.Launch(good.launch), absl::OkStatus());
  const Outcome outcome = client.End();
  EXPECT_EQ(outcome.exit_code(), 3) << outcome.ToString();
  return outcome.exit_code() == 3;
}

}  // namespace brood

#endif  // BROOD_SERVE_SERVE_TESTING_H_
