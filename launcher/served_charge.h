// What the forkserver's supervisor does with a request: it places an order, and is the guardian of those targets that need
// no guardian of their own.
#ifndef BROOD_LAUNCHER_SERVED_CHARGE_H_
#define BROOD_LAUNCHER_SERVED_CHARGE_H_

#include "absl/status/status.h"
#include "forkserver/supervisor.h"

namespace brood::internal {

// Makes this program able to be a forkserver. From a static initialiser of whoever starts one.
bool ServeLaunches();

void AdmitLaunch(Supervisor& supervisor, int connection, Request request, const absl::Status& received);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SERVED_CHARGE_H_
