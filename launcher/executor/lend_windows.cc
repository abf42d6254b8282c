#include "launcher/executor/pool.h"

namespace brood::internal {

// A read belongs to the thread that began it, which is the supervisor: streams are not lent.
void Pool::ReadIfLent(Lock& /*lock*/, const Task& /*task*/, int64_t /*end_ns*/) {}
void Pool::TakeBack(Lock& /*lock*/, WorkerLink& /*worker*/) {}

}  // namespace brood::internal
