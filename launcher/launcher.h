// All that an embedder needs to start programs: policies, options, processes, outcomes. Functions: launcher/context.h.
#ifndef BROOD_LAUNCHER_LAUNCHER_H_
#define BROOD_LAUNCHER_LAUNCHER_H_

#include "launcher/launch_options.h"
#include "launcher/outcome.h"
#include "launcher/process.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

#endif  // BROOD_LAUNCHER_LAUNCHER_H_
