-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The messages of the Container Runtime Interface, v1 (k8s.io/cri-api, runtime/v1/api.proto), and of
-- containerd's events, as far as bpfnet reads them: schemas for bpfnet.protobuf. In v1alpha2 these have
-- the same numbers.

local messages = {}

local Ip = { [1] = { "ip", "string" } }

local Network = {
  [1] = { "ip", "string" },
  [2] = { "additional_ips", Ip, repeated = true },
}

local PodMetadata = {
  [1] = { "name", "string" },
  [2] = { "uid", "string" },
  [3] = { "namespace", "string" },
}

local ContainerMetadata = { [1] = { "name", "string" } }

local Image = {
  [1] = { "image", "string" },
  [18] = { "user_specified_image", "string" },
}

-- A list's element.
local Pod = {
  [1] = { "id", "string" },
  [2] = { "metadata", PodMetadata },
  [3] = { "state", "int" },
  [5] = { "labels", "map" },
  [6] = { "annotations", "map" },
}

local PodStatus = {
  [1] = { "id", "string" },
  [2] = { "metadata", PodMetadata },
  [3] = { "state", "int" },
  [5] = { "network", Network },
  [7] = { "labels", "map" },
  [8] = { "annotations", "map" },
}

local Container = {
  [1] = { "id", "string" },
  [2] = { "pod_sandbox_id", "string" },
  [3] = { "metadata", ContainerMetadata },
  [4] = { "image", Image },
}

local ContainerStatus = {
  [1] = { "id", "string" },
  [2] = { "metadata", ContainerMetadata },
  [8] = { "image", Image },
}

---PodSandboxState, "state" of a pod.
messages.READY = 0

messages.VersionResponse = {
  [2] = { "runtime_name", "string" },
  [3] = { "runtime_version", "string" },
}

messages.ListPodSandboxResponse = { [1] = { "items", Pod, repeated = true } }

messages.ListContainersResponse = { [1] = { "containers", Container, repeated = true } }

messages.PodSandboxStatusRequest = { [1] = { "pod_sandbox_id", "string" } }

messages.PodSandboxStatusResponse = { [1] = { "status", PodStatus } }

messages.ContainerEventResponse = {
  [1] = { "container_id", "string" },
  [2] = { "type", "int" },
  [4] = { "pod_sandbox_status", PodStatus },
  [5] = { "containers_statuses", ContainerStatus, repeated = true },
}

---Of containerd.services.events.v1.Events/Subscribe.
messages.SubscribeRequest = { [1] = { "filters", "string", repeated = true } }

messages.Envelope = {
  [2] = { "namespace", "string" },
  [3] = { "topic", "string" },
}

return messages
