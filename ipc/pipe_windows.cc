#include "base/status.h"
#include "ipc/pipe.h"
#include "ipc/pipe_handles.h"

namespace brood {

absl::StatusOr<std::pair<Connection, Connection>> Pipe(const PipeOptions& options) {
  using Ways = internal::PipeHandlesOptions::Ways;
  const bool one_way = options.kind == PipeKind::kOneWay;
  BROOD_ASSIGN_OR_RETURN(internal::PipeHandles handles,
                         internal::NewPipeHandles({.ways = one_way ? Ways::kSecondToFirst : Ways::kBoth}));
  ConnectionOptions first = options.connection;
  ConnectionOptions second = options.connection;
  first.direction = one_way ? Direction::kReceiveOnly : Direction::kDuplex;
  second.direction = one_way ? Direction::kSendOnly : Direction::kDuplex;
  std::pair<Connection, Connection> ends;
  BROOD_ASSIGN_OR_RETURN(ends.first, Connection::Adopt(std::move(handles.first), first));
  BROOD_ASSIGN_OR_RETURN(ends.second, Connection::Adopt(std::move(handles.second), second));
  return ends;
}

}  // namespace brood
