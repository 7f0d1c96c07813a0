import type { MeasurementObject } from '../model.js';
import { hostGroupSchema } from './host-group.js';
import { policySchema } from './policy.js';
import { referenceSetSchema } from './reference-set.js';
import type { Schema } from './words.js';

/** The published schemas: docs/schema holds the same, and manifests are checked by these very ones. */
export const schemas: Readonly<Record<MeasurementObject['kind'], Schema>> = {
  MeasurementPolicy: policySchema,
  ReferenceSet: referenceSetSchema,
  HostGroup: hostGroupSchema,
};
