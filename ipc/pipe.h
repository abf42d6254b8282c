// Two connections that are connected to each other, for a process and its child.
//
//   BROOD_ASSIGN_OR_RETURN(auto ends, Pipe());
//   context.Start(Serve, ends.second);
//   ends.second.Close();   // So that the child's end is the only one, and its death is seen.
#ifndef BROOD_IPC_PIPE_H_
#define BROOD_IPC_PIPE_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "ipc/connection.h"

namespace brood {

enum class PipeKind {
  kDuplex,  // Both ends send and receive.
  kOneWay,  // The first receives what the second sends.
};

struct PipeOptions {
  PipeKind kind = PipeKind::kDuplex;
  ConnectionOptions connection;  // For both ends; its direction is ignored.
};

// Thread-safe. Errors: ResourceExhausted (EMFILE, ENFILE).
absl::StatusOr<std::pair<Connection, Connection>> Pipe(const PipeOptions& options = {});

}  // namespace brood

#endif  // BROOD_IPC_PIPE_H_
