// Where a listener listens.
#ifndef BROOD_IPC_ADDRESS_H_
#define BROOD_IPC_ADDRESS_H_

#include <cstdint>
#include <string>

#include "serialization/fields.h"

namespace brood {

// A value: it may be an argument of a target, or be sent over a connection.
struct Address {
  enum class Family : uint8_t { kUnixPath, kUnixAbstract, kTcp, kPipe };

  // A socket file, at most 107 bytes long. unix(7), "BUGS" and sun_path.
  static Address UnixPath(std::string path) { return {Family::kUnixPath, std::move(path), 0}; }
  // A name without a file, known in the whole network namespace, to every user; at most 107 bytes. Empty: the kernel
  // chooses one.
  static Address Abstract(std::string name = "") { return {Family::kUnixAbstract, std::move(name), 0}; }
  // A numeric address. Port 0: the kernel chooses one.
  static Address Tcp(std::string ip = "127.0.0.1", uint16_t port = 0) { return {Family::kTcp, std::move(ip), port}; }

  // A pipe of Windows, \\.\pipe\NAME, known to all of this machine; the only kind there, and there only. Empty: one that nobody
  // can guess.
  static Address Pipe(std::string name = "") { return {Family::kPipe, std::move(name), 0}; }
  // Of this machine alone, with a name that nobody else has: Abstract, on Windows Pipe.
  static Address Local();

  // "unix:/run/x", "abstract:name", "tcp:127.0.0.1:4242", "tcp:[::1]:4242", "pipe:\\.\pipe\name".
  std::string ToString() const;
  bool operator==(const Address&) const = default;

  Family family = Family::kUnixPath;
  std::string name;  // Path, abstract name, IP address, or name of a pipe.
  uint16_t port = 0;
};
BROOD_FIELDS(Address, family, name, port);

// How far TCP may reach. Whoever can reach a listener can dial it; see authenticate.h.
enum class TcpReach {
  kLoopback,  // 127.0.0.0/8 and ::1. Anything else is InvalidArgument.
  kNetwork,   // Any address of this machine; what is sent is not encrypted.
};

// Which users' processes may be at the other end of a Unix socket or a pipe. TCP cannot tell them.
enum class PeerUser {
  kSame,  // Others are PermissionDenied.
  kAny,
};

// What to do with a socket file that is there already, and to which nobody listens any more: a listener that was killed
// leaves it behind.
enum class StaleSocketFile { kReplace, kRefuse };

}  // namespace brood

#endif  // BROOD_IPC_ADDRESS_H_
