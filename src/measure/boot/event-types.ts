/** TCG_EVENTTYPE values of the PC Client Platform Firmware Profile that mean something to us. */
export const eventType = {
  prebootCert: 0x0,
  postCode: 0x1,
  unused: 0x2,
  noAction: 0x3,
  separator: 0x4,
  action: 0x5,
  eventTag: 0x6,
  crtmContents: 0x7,
  crtmVersion: 0x8,
  cpuMicrocode: 0x9,
  platformConfigFlags: 0xa,
  tableOfDevices: 0xb,
  compactHash: 0xc,
  ipl: 0xd,
  iplPartitionData: 0xe,
  nonhostCode: 0xf,
  nonhostConfig: 0x10,
  nonhostInfo: 0x11,
  omitBootDeviceEvents: 0x12,
  efiVariableDriverConfig: 0x80000001,
  efiVariableBoot: 0x80000002,
  efiBootServicesApplication: 0x80000003,
  efiBootServicesDriver: 0x80000004,
  efiRuntimeServicesDriver: 0x80000005,
  efiGptEvent: 0x80000006,
  efiAction: 0x80000007,
  efiPlatformFirmwareBlob: 0x80000008,
  efiHandoffTables: 0x80000009,
  efiPlatformFirmwareBlob2: 0x8000000a,
  efiHandoffTables2: 0x8000000b,
  efiVariableBoot2: 0x8000000c,
  efiHcrtmEvent: 0x80000010,
  efiVariableAuthority: 0x800000e0,
} as const;

const names: ReadonlyMap<number, string> = new Map(
  Object.entries(eventType).map(([name, value]) => [value, constantName(name)]),
);

/** Types that extend a register with something of their own: `EV_POST_CODE` and so on. */
export const measuringTypeNames: readonly string[] = [...names]
  .filter(([value]) => value !== eventType.noAction && value !== eventType.separator)
  .map(([, name]) => name);

/** The name that the specification gives a type, or its number: types of vendors are many. */
export function eventTypeName(type: number): string {
  return names.get(type) ?? `0x${type.toString(16).padStart(8, '0')}`;
}

function constantName(name: string): string {
  if (name.startsWith('crtm')) return `EV_S_${upper(name)}`;
  return `EV_${upper(name)}`;
}

function upper(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
