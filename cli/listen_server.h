// `brood listen`: a program for each connection, with the connection as its streams.
//
// One thread, which waits for none of the clients: what goes through a connection its child's guardian relays.
#ifndef BROOD_CLI_LISTEN_SERVER_H_
#define BROOD_CLI_LISTEN_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "cli/signals.h"
#include "ipc/address.h"
#include "ipc/socket_file.h"
#include "launcher/process.h"

namespace brood {

struct ListenSettings {
  Address address;
  size_t max_connections = 100;
  size_t max_per_address = 10;  // Of one IP address, or one user of a UNIX socket.
  // A client that has said all it will say may be waiting for the answer, or be gone: the kernel tells no difference until
  // something is sent.
  absl::Duration after_end = absl::Seconds(10);
  LaunchOptions program;  // But for its streams. Its policy has a limit of wall time.
};

// Who ended a connection.
enum class ClosedBy { kProgram, kClient, kServer, kRefused };

struct ConnectionEnd {
  uint64_t number = 0;
  std::string peer;      // "127.0.0.1:4242", "[::1]:4242", "uid 1000".
  ClosedBy closed_by = ClosedBy::kProgram;
  std::string why;       // Of one that was refused.
  Outcome outcome;       // Of one that was not.
};

class ListenServer {
 public:
  // `tell` is called with each connection that has ended, `warn` with what people should know. Errors: those of bind(2), listen(2).
  static absl::StatusOr<ListenServer> Open(ListenSettings settings, std::function<void(const ConnectionEnd&)> tell, std::function<void(const std::string&)> warn);

  const Address& address() const { return settings_.address; }  // With the port that the kernel chose.

  // Until a signal has come; all children are killed then.
  absl::Status Run(SignalSource& signals);

 private:
  struct Connection {
    uint64_t number;
    std::string peer;
    std::string address;  // What is counted.
    UniqueFd socket;      // Only to see its end.
    Process process;
    ClosedBy closed_by = ClosedBy::kProgram;
    absl::Time kill_at = absl::InfiniteFuture();
    bool end_seen = false;  // Of what the client sends.
    bool gone = false;
    bool killed = false;
  };

  ListenServer(ListenSettings settings, std::function<void(const ConnectionEnd&)> tell, std::function<void(const std::string&)> warn)
      : settings_(std::move(settings)), tell_(std::move(tell)), warn_(std::move(warn)) {}

  void Accept();
  void Start(UniqueFd socket, const std::string& peer, const std::string& address);
  void LookAt(Connection& connection, short events);
  void Kill(Connection& connection, ClosedBy by);
  void Finish(Connection& connection);
  int PollTimeout() const;

  ListenSettings settings_;
  std::function<void(const ConnectionEnd&)> tell_;
  std::function<void(const std::string&)> warn_;
  UniqueFd listener_;
  std::optional<internal::SocketFile> file_;
  std::list<Connection> connections_;
  std::map<std::string, size_t> per_address_;
  uint64_t count_ = 0;
  absl::Time accept_again_ = absl::InfinitePast();
};

}  // namespace brood

#endif  // BROOD_CLI_LISTEN_SERVER_H_
