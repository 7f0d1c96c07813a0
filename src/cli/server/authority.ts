import { create } from '@bufbuild/protobuf';
import {
  type AuthorityState,
  AuthorityStateSchema,
  GetX509AuthorityStateResponseSchema,
} from '../../wire/gen/spire/server/localauthority_pb.js';
import { fields } from '../output.js';
import type { Flag, Verb } from '../verb.js';
import { json, type ServerApi, serverFlags, timeText, withServer } from './connect.js';

type Purpose = 'x509' | 'jwt';

const idFlag: Flag = { name: 'authorityID', type: 'string', doc: 'The authority.', required: true };

function stateRows(state: AuthorityState | undefined): string {
  if (!state || state.authorityId === '') return '  none';
  const rows: [string, string][] = [
    ['  Authority ID', state.authorityId],
    ['  Expires at', timeText(state.expiresAt)],
  ];
  const upstream = state.upstreamAuthoritySubjectKeyId;
  return fields(upstream === '' ? rows : [...rows, ['  Upstream authority', upstream]]);
}

function show(purpose: Purpose): Verb {
  return {
    name: `localauthority ${purpose} show`,
    summary: `Show the ${purpose === 'jwt' ? 'JWT signing keys' : 'X.509 authorities'}.`,
    example: `touchmark-server localauthority ${purpose} show`,
    flags: serverFlags,
    run: (context) =>
      withServer(context, async ({ localAuthority }) => {
        const state =
          purpose === 'jwt'
            ? await localAuthority.getJWTAuthorityState({})
            : await localAuthority.getX509AuthorityState({});
        const { active, prepared, old } = state;
        context.out.result({
          pretty: `Active:\n${stateRows(active)}\n\nPrepared:\n${stateRows(prepared)}\n\nOld:\n${stateRows(old)}`,
          json: json(
            GetX509AuthorityStateResponseSchema,
            create(GetX509AuthorityStateResponseSchema, { active, prepared, old }),
          ),
        });
        return 0;
      }),
  };
}

interface Step {
  readonly word: 'prepare' | 'activate' | 'taint' | 'revoke';
  readonly summary: string;
  /** What is printed above the authority. */
  readonly done: string;
  call(api: ServerApi, purpose: Purpose, authorityId: string): Promise<AuthorityState | undefined>;
}

const steps: readonly Step[] = [
  {
    word: 'prepare',
    summary: 'Make and publish the next authority, without using it yet.',
    done: 'Prepared',
    call: async ({ localAuthority }, purpose) =>
      (purpose === 'jwt'
        ? await localAuthority.prepareJWTAuthority({})
        : await localAuthority.prepareX509Authority({})
      ).preparedAuthority,
  },
  {
    word: 'activate',
    summary: 'Sign with the prepared authority from now on.',
    done: 'Activated',
    call: async ({ localAuthority }, purpose, authorityId) =>
      (purpose === 'jwt'
        ? await localAuthority.activateJWTAuthority({ authorityId })
        : await localAuthority.activateX509Authority({ authorityId })
      ).activatedAuthority,
  },
  {
    word: 'taint',
    summary: 'Have everything that the old authority signed replaced.',
    done: 'Tainted',
    call: async ({ localAuthority }, purpose, authorityId) =>
      (purpose === 'jwt'
        ? await localAuthority.taintJWTAuthority({ authorityId })
        : await localAuthority.taintX509Authority({ authorityId })
      ).taintedAuthority,
  },
  {
    word: 'revoke',
    summary: 'Take the old authority out of the bundle.',
    done: 'Revoked',
    call: async ({ localAuthority }, purpose, authorityId) =>
      (purpose === 'jwt'
        ? await localAuthority.revokeJWTAuthority({ authorityId })
        : await localAuthority.revokeX509Authority({ authorityId })
      ).revokedAuthority,
  },
];

function stepVerb(purpose: Purpose, step: Step): Verb {
  const named = step.word !== 'prepare';
  const name = `localauthority ${purpose} ${step.word}`;
  return {
    name,
    summary: step.summary,
    example: `touchmark-server ${name}${named ? ' -authorityID 4f0c…' : ''}`,
    flags: [...(named ? [idFlag] : []), ...serverFlags],
    run: (context) =>
      withServer(context, async (api) => {
        const state = await step.call(api, purpose, context.flags.string('authorityID'));
        context.out.result({
          pretty: `${step.done} ${purpose === 'jwt' ? 'JWT' : 'X.509'} authority:\n${stateRows(state)}`,
          json: {
            [`${step.done.toLowerCase()}_authority`]: state ? json(AuthorityStateSchema, state) : null,
          },
        });
        return 0;
      }),
  };
}

const upstreamFlag: Flag = {
  name: 'subjectKeyID',
  type: 'string',
  doc: 'Subject key identifier of the upstream root, hex.',
  required: true,
};

function upstreamVerb(word: 'taint' | 'revoke', done: string): Verb {
  return {
    name: `upstreamauthority ${word}`,
    summary:
      word === 'taint'
        ? 'Have everything below an upstream root replaced.'
        : 'Take an upstream root out of the bundle.',
    example: `touchmark-server upstreamauthority ${word} -subjectKeyID 4f0c…`,
    flags: [upstreamFlag, ...serverFlags],
    run: (context) =>
      withServer(context, async ({ localAuthority }) => {
        const subjectKeyId = context.flags.string('subjectKeyID');
        const response =
          word === 'taint'
            ? await localAuthority.taintX509UpstreamAuthority({ subjectKeyId })
            : await localAuthority.revokeX509UpstreamAuthority({ subjectKeyId });
        const id = response.upstreamAuthoritySubjectKeyId;
        context.out.result({
          pretty: `${done} upstream authority ${id}`,
          json: { upstream_authority_subject_key_id: id },
        });
        return 0;
      }),
  };
}

export const authorityVerbs: readonly Verb[] = [
  ...(['x509', 'jwt'] as const).flatMap((purpose) => [
    show(purpose),
    ...steps.map((step) => stepVerb(purpose, step)),
  ]),
  upstreamVerb('taint', 'Tainted'),
  upstreamVerb('revoke', 'Revoked'),
];
